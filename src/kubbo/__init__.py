"""The Python Dubbo for Kubernetes."""
