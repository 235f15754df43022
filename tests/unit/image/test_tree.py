"""What is copied into a layer, and the archive that it is written as."""

from __future__ import annotations

import io
import os
import tarfile

import pytest
from hypothesis import given, strategies as st

from kubbo.errors import UsageError
from kubbo.image.bytecode import add_bytecode
from kubbo.image.layer import write_layer
from kubbo.image.tree import Directory, File, Link, Tree

names = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1)
paths = (
    st.lists(names.filter(lambda name: name not in (".", "..")), min_size=1, max_size=4)
    .map(lambda parts: "/" + "/".join(parts))
    .filter(lambda path: len(path.encode()) < 500)
)


def written(tree, **options):
    """The members of a layer, and the bytes of its files."""
    file = io.BytesIO()
    write_layer(tree, file, **options)
    with tarfile.open(fileobj=io.BytesIO(file.getvalue()), mode="r:") as tar:
        return {
            each.name: (each, tar.extractfile(each).read() if each.isreg() else None)
            for each in tar
        }


@given(st.dictionaries(paths, st.binary(max_size=2_000), max_size=6), st.randoms())
def test_a_layer_reads_back_as_its_tree(files, random):
    """Whatever the names are; and the order in which they were put does not matter."""
    tree, shuffled = Tree(), Tree()
    order = [*files]
    kept = {}
    for path in order:
        try:
            tree.put(path, File(data=files[path]))
        except UsageError:
            continue  # one is the directory of another
        kept[path] = files[path]
    random.shuffle(order)
    for path in order:
        if path in kept:
            shuffled.put(path, File(data=files[path]))
    assert [*tree] == [*shuffled]
    read = {f"/{name}": data for name, (_, data) in written(tree).items() if data is not None}
    assert read == kept


def test_links_directories_and_rights(tmp_path):
    """Only "executable" is taken from a file; times and owners are nobody's."""
    program = tmp_path / "run"
    program.write_bytes(b"#!")
    program.chmod(0o4711)
    tree = Tree()
    tree.put("/bin/run", File(program, executable=True))
    tree.put("/bin/go", Link("run"))
    tree.put("/tmp", Directory(0o1777))
    members = written(tree, epoch=42)
    assert [*members] == ["bin", "bin/go", "bin/run", "tmp"]
    assert {each.mtime for each, _ in members.values()} == {42}
    assert members["bin/run"][0].mode == 0o755
    assert members["bin/go"][0].linkname == "run"
    assert members["tmp"][0].mode == 0o1777
    assert tree.files == 1


def test_a_directory_is_copied_through_its_links(tmp_path):
    """What they lead to need not be in the image; a link to where it is, is not followed."""
    top = tmp_path / "top"
    (top / "inner").mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "data").write_bytes(b"1")
    (top / "inner" / "loop").symlink_to(top)
    (top / "there").symlink_to(tmp_path / "outside")
    (top / "broken").symlink_to("nowhere")
    (top / "left.out").write_bytes(b"2")
    os.mkfifo(top / "pipe")
    tree = Tree()
    copied = tree.copy(top, "/srv/top", keep=lambda name: name != "left.out")
    assert copied == [top / "there" / "data"]
    assert [path for path, _ in tree] == [
        "/srv",
        "/srv/top",
        "/srv/top/inner",
        "/srv/top/inner/loop",
        "/srv/top/there",
        "/srv/top/there/data",
    ]


@pytest.mark.parametrize("path", ["relative", "/", "/a/../b", "/a//b", "/a/", "/a/./b", ""])
def test_a_path_that_is_none_is_refused(path):
    """Nothing is written outside of where it should be."""
    with pytest.raises(UsageError, match="is no path"):
        Tree().put(path, File())


def test_a_file_is_no_directory():
    """Neither way round: a runtime would replace one by the other."""
    tree = Tree()
    tree.put("/a/b", File())
    for path, entry in (("/a/b/c", File()), ("/a", File()), ("/a", Link("x"))):
        with pytest.raises(UsageError, match="cannot be"):
            tree.put(path, entry)
    tree.put("/a", Directory())


def test_what_cannot_be_read_is_named(tmp_path):
    """A file that has gone since it was listed, and one that has changed its size."""
    gone = tmp_path / "gone"
    tree = Tree()
    tree.put("/gone", File(gone))
    with pytest.raises(UsageError, match=f"cannot read {gone}: No such file"):
        write_layer(tree, io.BytesIO())
    with pytest.raises(UsageError, match="cannot read"):
        Tree().copy(gone, "/x")


def test_what_grows_while_it_is_read_is_refused(tmp_path):
    """Its size is written before it; more of it would shift all that follows."""
    grows = tmp_path / "log"
    grows.write_bytes(b"x" * 10)

    class Appending(io.BytesIO):
        def write(self, data):
            with grows.open("ab") as file:
                file.write(b"more")
            return super().write(data)

    tree = Tree()
    tree.put("/log", File(grows))
    with pytest.raises(UsageError, match="changed while it was read"):
        write_layer(tree, Appending())


def test_a_source_that_does_not_compile_stays(tmp_path):
    """As templates do; the others are compiled, in any encoding that Python reads."""
    tree = Tree()
    tree.put("/a/good.py", File(data="# -*- coding: latin-1 -*-\nname = 'é'\n".encode("latin-1")))
    tree.put("/a/bad.py", File(data=b"print 'x'\n"))
    tree.put("/a/zero.py", File(data=b"\0"))
    tree.put("/a/data.txt", File(data=b"x"))
    assert add_bytecode(tree) == 1
    found = [path for path, entry in tree if isinstance(entry, File)]
    assert [path for path in found if path.endswith((".py", ".txt"))] == [
        "/a/bad.py",
        "/a/data.txt",
        "/a/good.py",
        "/a/zero.py",
    ]
    assert len(found) == 5
    assert add_bytecode(Tree()) == 0
