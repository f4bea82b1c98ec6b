from collections.abc import Iterator

import pytest

from pseudoword.hub import Patience, Wire
from pseudoword.settings import Endpoints


@pytest.fixture
def patience() -> Patience:
    return Patience(first_wait=0.001, longest_wait=2.0, connect=2.0, read=2.0)


@pytest.fixture
def wire(share_server, patience) -> Iterator[Wire]:
    with Wire(Endpoints.from_environment(), patience) as opened:
        yield opened
