"""Why an address cannot be opened: Hadoop names classes and syntax, the user has to know the key and the remedy."""

from __future__ import annotations

import re

from recsys_spark.config.addresses import has_scheme
from recsys_spark.errors import ConfigError, RecsysError
from recsys_spark.spark.failures import messages

_NO_CLIENT = re.compile(r"No FileSystem for scheme|UnsupportedFileSystem|ClassNotFoundException|NoClassDefFoundError")
_ACTIONS = (
    (r"Relative path in absolute URI", "Rename the file or folder: Hadoop cannot open a name with a colon."),
    (r"PatternSyntaxException|Illegal file pattern", "Correct the pattern, or put a backslash before [ ] { } * ?."),
    (r"AccessControl|[Pp]ermission denied|AccessDenied|Forbidden|403", "Ask for the right to use this address."),
    (r"UnknownHost|ConnectException|NoRouteToHost|[Tt]imed? ?out", "Check the host and the network of the driver."),
    (r"Wrong FS|null host|Incomplete HDFS URI|bucket is null", "Write the host or bucket: SCHEME://HOST/PATH."),
)


def unreachable(error: Exception, address: str, *, where: str, otherwise: type[RecsysError]) -> RecsysError:
    """Return the error for an address that Hadoop refuses: ConfigError without a client for it, else ``otherwise``."""
    said = messages(error)
    found, text = f"{address} ({said[-1][:300]})", "\n".join(said)
    if _NO_CLIENT.search(text):
        scheme = f"`{address.partition(':')[0]}:`" if has_scheme(address) else "spark.hadoop.fs.defaultFS"
        return ConfigError(
            f"Spark has no client for the address of {scheme}",
            where=where,
            found=found,
            expected="a path, or an address that Spark has a client for",
            action="Correct the address, or add the client to spark.jars.packages; s3a:// needs hadoop-aws.",
        )
    return otherwise(
        "The address cannot be opened",
        where=where,
        found=found,
        expected="an address that exists, and that the user of the job may use",
        action=next((what for pattern, what in _ACTIONS if re.search(pattern, text)), "Correct the address."),
    )
