"""Plug-ins: operations, data sets, search spaces and samplers of other packages (entry points) and of single files.

give(Path("my_ops.py"))                     # --plugin my_ops.py
find("operations", "se_conv_3x3")           # the file is run now, once
records = records_of(genotype.to_dict())       # plain values, which travel with sweeps, tasks and models
declare(records)                            # in another process: now it knows the operation too
"""

from pcdarts_tune.plugins.files import KINDS, PluginFile
from pcdarts_tune.plugins.registry import (
    ARTIFACT,
    LACKS,
    artifact_of,
    check,
    declare,
    explain,
    find,
    give,
    group_of,
    identity_of,
    keep,
    knows,
    names,
    records_of,
    source_of,
    trust_store,
)

__all__ = [
    "ARTIFACT",
    "KINDS",
    "LACKS",
    "PluginFile",
    "artifact_of",
    "check",
    "declare",
    "explain",
    "find",
    "give",
    "group_of",
    "identity_of",
    "keep",
    "knows",
    "names",
    "records_of",
    "source_of",
    "trust_store",
]
