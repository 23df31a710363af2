"""Fine-tuning of REM3DI encoders behind scikit-learn's interface."""
