"""The version, in the one place that the package metadata is made from too."""

VERSION = "0.1.0"
