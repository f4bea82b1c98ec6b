"""Embeddings of other people: search, download with limit and hash check, and the model card of one's own.

Two services are known: the Hugging Face hub and Civitai. Everything that leaves the machine goes through
`wire.py`, which knows the limits; this room knows no layout of an embedding file (`services/pull.py` reads them).
"""

from pseudoword.hub.references import CivitaiReference, HubReference, Reference, parse_reference
from pseudoword.hub.values import Found, Offer, RemoteFile
from pseudoword.hub.wire import PATIENCE, Patience, Wire

__all__ = [
    "PATIENCE",
    "CivitaiReference",
    "Found",
    "HubReference",
    "Offer",
    "Patience",
    "Reference",
    "RemoteFile",
    "Wire",
    "parse_reference",
]
