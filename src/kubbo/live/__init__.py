"""Configuration that changes while a process runs: where it comes from, and keeping the last good.

source.py       the seam of every source, and its text form
files.py        a file, or a directory as a ConfigMap is mounted
cluster.py      a ConfigMap, watched
live.py         takes what a source says if it can be used, and keeps what it had if not
"""
