"""What deploys an application: plain Kubernetes objects, made from the interfaces that it serves.

Everything here is pure: an `Application` goes in, JSON values come out (`objects`), text at the
end (`render`). Nothing is asked of a cluster, so the same input gives the same manifests on
every machine, and what is wrong with a name is told before the first line is printed.
"""

from kubbo.manifests.application import Application, Serving
from kubbo.manifests.objects import objects
from kubbo.manifests.registration import registration
from kubbo.manifests.render import as_json, as_yaml

__all__ = ["Application", "Serving", "as_json", "as_yaml", "objects", "registration"]
