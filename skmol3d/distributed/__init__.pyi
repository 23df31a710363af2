from .cluster import LibraryError
from .featurize import featurize_library
from .output import LibraryResult
from .predict import predict_library

__all__ = ["LibraryError", "LibraryResult", "featurize_library", "predict_library"]
