"""dubbo2: Dubbo's own protocol, a 16-byte header before a Hessian2 body."""

from kubbo.wire.dubbo2.body import Dubbo2Codec
from kubbo.wire.dubbo2.session import Dubbo2Session, Role

__all__ = ["Dubbo2Codec", "Dubbo2Session", "Role"]
