"""The benchmark: the bridge against bare Klein + treq and nginx, in one run on one machine."""
