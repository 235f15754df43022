"""An image of an application, made of the Python that runs here: no engine, no root, no network.

    elf, libraries     what a file needs, and where the loader finds it
    tree, layer        what is in a layer, and that as the same bytes each time
    bytecode           compiled modules that are the same each time
    interpreter        the first layer      distributions  the second      application  the third
    archive, build     the OCI image layout, in one file

Nothing here knows of Kubernetes or of calls: files go in, a file comes out.
"""

from kubbo.image.application import Added, parse_added
from kubbo.image.build import Built, Image, build, full_name, mebibytes

__all__ = ["Added", "Built", "Image", "build", "full_name", "mebibytes", "parse_added"]
