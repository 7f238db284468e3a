"""The one place that imports Open3D: it loads the USB library that Open3D needs first, and explains itself when it fails."""

import ctypes
import warnings
from contextlib import suppress
from importlib import import_module
from typing import Any

from calib.errors import ResourceError

APT_PACKAGES = "libgl1 libglib2.0-0 libegl1 libusb-1.0-0"


def load_open3d() -> Any:
    """The module `open3d`; about 0.8 s on the first call, nothing afterwards.

    Raises
    ------
    ResourceError
        Open3D is not installed, or a library of the system that it needs is missing.
    """
    # Open3D's wheel is linked against libusb-1.0 but does not bring it. The package libusb-package does: loaded first, with its
    # symbols made global, it satisfies the loader where the system has none; where that fails, the system's may still be there.
    with suppress(ImportError, OSError):
        library = import_module("libusb_package").get_library_path()
        if library is not None:
            ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # deprecations inside Open3D's own dependencies are no concern of the caller
            return import_module("open3d")
    except ModuleNotFoundError as error:
        raise ResourceError(f"Open3D cannot be imported: {error}; install it with: pip install open3d") from error
    except (ImportError, OSError) as error:
        raise ResourceError(
            f"Open3D cannot be imported: {error}; a library of the system is missing."
            f" On Debian or Ubuntu: apt-get install -y --no-install-recommends {APT_PACKAGES}"
        ) from error
