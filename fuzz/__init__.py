"""Fuzz targets of everything that reads what a peer, an API server or a person wrote.

    mutate     seeded damage to bytes and to text
    corpus     the seeds: golden vectors, frames, bodies, texts; made on demand
    nasty      a registry of classes that a peer would like to meet
    oracle     what must hold of a decoder: errors, work, memory, writing back
    targets    one function a reader, bytes in, `Finding` out
    guided     the same targets under atheris, which watches coverage
    __main__   `python -m fuzz`, behind `make fuzz`

`docs/fuzzing.md` says how to run them and what to do with a finding.
"""
