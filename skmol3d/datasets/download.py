"""One pinned public file: from its address, or a mirror, into the cache folder, checked by its SHA-256."""

import hashlib
import os
import tempfile
import warnings
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from urllib.parse import quote
from urllib.request import urlopen

DEFAULT_BASE_URL = "https://raw.githubusercontent.com"
_TIMEOUT = 30.0  # seconds without a byte


@dataclass(frozen=True, slots=True)
class PinnedFile:
    """A file of a public GitHub repository at one commit.

    Attributes
    ----------
    repository, commit, path : str
        Owner and name, the full commit hash, and the path inside the repository.
    sha256 : str
        Hex digest of the content.
    size : int
        Bytes.
    """

    repository: str
    commit: str
    path: str
    sha256: str
    size: int

    @property
    def location(self) -> str:
        """Where it stands below a base address, and below the cache folder alike."""
        return f"{self.repository}/{self.commit}/{self.path}"


def get_data_home(data_home: str | os.PathLike[str] | None = None) -> Path:
    """Cache folder of the downloaded data sets.

    Parameters
    ----------
    data_home : path or None, default=None
        A folder, or None for the environment variable ``SKMOL3D_DATA``, else ``$XDG_CACHE_HOME/skmol3d``,
        else ``~/.cache/skmol3d``. It need not exist yet.

    Returns
    -------
    Path
    """
    if data_home is None:
        data_home = os.environ.get("SKMOL3D_DATA") or None
    if data_home is None:
        data_home = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "skmol3d"
    return Path(data_home).expanduser()


def fetch_file(
    file: PinnedFile,
    data_home: str | os.PathLike[str] | None = None,
    base_url: str | None = None,
    download_if_missing: bool = True,
) -> Path:
    """Path of a pinned file in the cache, downloaded if it is not there.

    The cache is laid out as the base address is, so that one user's cache is another's mirror.

    Parameters
    ----------
    file : PinnedFile
        What to fetch.
    data_home : path or None, default=None
        Cache folder, see `get_data_home`.
    base_url : str or None, default=None
        Address (http, https or file) below which ``owner/repository/commit/path`` is served; None for the
        environment variable ``SKMOL3D_DATA_MIRROR``, else https://raw.githubusercontent.com.
    download_if_missing : bool, default=True
        If False, a file that is not in the cache is an error.

    Returns
    -------
    Path
        A file whose content has been checked.

    Raises
    ------
    ValueError
        If the base address is not an address.
    OSError
        If the file cannot be had, or is not the expected one; the cache is then left as it was.
    """
    target = get_data_home(data_home) / file.location
    if target.exists():
        problem = _mismatch(target, file)
        if problem is None:
            return target
        if not download_if_missing:
            raise OSError(f"{target} in the cache is damaged: {problem}")
        warnings.warn(
            f"{target} in the cache is damaged and will be downloaded again: {problem}", stacklevel=3
        )
    elif not download_if_missing:
        raise OSError(f"{target} is not in the cache, and download_if_missing is False")
    url = _base_url(base_url) + "/" + quote(file.location)
    target.parent.mkdir(parents=True, exist_ok=True)
    # Complete and checked before it gets its name: no reader, and no later run, ever sees half a file.
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=target.name, suffix=".part")
    part = Path(name)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(_download(url, file.size))
        problem = _mismatch(part, file)
        if problem is not None:
            raise OSError(f"{url} is not the expected file: {problem}")
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    return target


def _base_url(base_url: str | None) -> str:
    base_url = base_url or os.environ.get("SKMOL3D_DATA_MIRROR") or DEFAULT_BASE_URL
    if not base_url.startswith(("https://", "http://", "file://")):
        raise ValueError(f"the base address must begin with https://, http:// or file://, got {base_url!r}")
    return base_url.rstrip("/")


def _download(url: str, size: int) -> bytes:
    try:
        with urlopen(url, timeout=_TIMEOUT) as response:
            return response.read(size + 1)  # one byte more shows that it is too long, however long it is
    except (OSError, HTTPException) as error:
        raise OSError(
            f"cannot download {url}: {error}. Where that address cannot be reached, set base_url or the "
            "environment variable SKMOL3D_DATA_MIRROR to a mirror"
        ) from error


def _mismatch(path: Path, file: PinnedFile) -> str | None:
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    if digest == file.sha256:
        return None
    length = f"at least {len(content)}" if len(content) > file.size else str(len(content))
    return f"{file.path} should have SHA-256 {file.sha256} ({file.size} bytes), got {digest} ({length} bytes)"
