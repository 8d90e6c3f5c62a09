"""One call for many Java objects: a list of thousands is mapped inside the JVM, where Python would make thousands of
calls of a millisecond each.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from pyspark.sql import SparkSession

_BETWEEN = "\0"
"""Between the texts of a list. No path and no schema has this character."""


@lru_cache(maxsize=256)
def java_class(jvm: Any, name: str) -> Any:
    """Return a Java class by its full name.

    `jvm.org.apache.x.Y` would ask Java for a class `org`, then `org.apache`, and so on. Each of these questions makes
    Java search all of Spark's archives, which costs some ten milliseconds.
    """
    return getattr(jvm, name)


class JavaCalls:
    """Calls a public Java method on every element of a list."""

    def __init__(self, spark: SparkSession) -> None:
        jvm: Any = spark._jvm
        self.jvm = jvm
        self._array = spark.sparkContext._gateway.new_array  # type: ignore[union-attr]
        self._lookup = self.java("java.lang.invoke.MethodHandles").publicLookup()

    def java(self, name: str) -> Any:
        """Return the Java class of that name, whose constructor and static methods can be called."""
        return java_class(self.jvm, name)

    def type(self, name: str) -> Any:
        """Return the class object of that name, as Spark's own class loader knows it."""
        loader = self.java("java.lang.Thread").currentThread().getContextClassLoader()
        return self.java("java.lang.Class").forName(name, True, loader)

    def listed(self, elements: Any) -> Any:
        """Return a Java list of the elements, which are a Java collection or a sequence of Python."""
        if not isinstance(elements, Sequence):
            return self.java("java.util.ArrayList")(elements)
        made = self.java("java.util.ArrayList")()
        for element in elements:
            made.add(element)
        return made

    def map(self, elements: Any, owner: str, method: str, *, takes: str = "", of: Any = None) -> Any:
        """Return a new list: the result of ``method`` of class ``owner`` on each element.

        ``of``: an object whose method it is; the elements are then its arguments, of the class ``takes``.
        """
        handle = self._method(owner, method, *([self.type(takes)] if takes else []))
        made = self.java("java.util.ArrayList")(elements)
        made.replaceAll(self._as("java.util.function.UnaryOperator", handle if of is None else handle.bindTo(of)))
        return made

    def beginnings(self, streams: Any, n_bytes: int) -> list[bytes]:
        """Return the first bytes of each input stream, and close all."""
        argument = self._array(self.java("java.lang.Object"), 1)
        argument[0] = n_bytes
        read = self._method("java.io.InputStream", "readNBytes", self.java("java.lang.Integer").TYPE)
        read = self.java("java.lang.invoke.MethodHandles").insertArguments(read, 1, argument)
        begun = self.java("java.util.ArrayList")(streams)
        try:
            begun.replaceAll(self._as("java.util.function.UnaryOperator", read))
        finally:
            streams.forEach(self._as("java.util.function.Consumer", self._method("java.io.InputStream", "close")))
        encoder = self.java("java.util.Base64").getEncoder()
        coded = self.map(begun, "java.util.Base64$Encoder", "encodeToString", takes="[B", of=encoder)
        return [base64.b64decode(text) for text in self.texts(coded)]

    def flat(self, lists: Any) -> Any:
        """Return the elements of a list of lists."""
        made = self.java("java.util.ArrayList")()
        add_all = self._method("java.util.ArrayList", "addAll", self.type("java.util.Collection")).bindTo(made)
        lists.forEach(self._as("java.util.function.Consumer", add_all))
        return made

    def texts(self, elements: Any) -> list[str]:
        """Return ``toString()`` of each element of a list."""
        if elements.isEmpty():
            return []
        written = self.map(elements, "java.lang.Object", "toString")
        return str(self.java("java.lang.String").join(_BETWEEN, written)).split(_BETWEEN)

    def _method(self, owner: str, name: str, *takes: Any) -> Any:
        types = self._array(self.java("java.lang.Class"), len(takes))
        for position, kind in enumerate(takes):
            types[position] = kind
        return self._lookup.unreflect(self.type(owner).getMethod(name, types))

    def _as(self, interface: str, handle: Any) -> Any:
        return self.java("java.lang.invoke.MethodHandleProxies").asInterfaceInstance(self.type(interface), handle)
