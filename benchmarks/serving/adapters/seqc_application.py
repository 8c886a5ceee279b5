"""seqc-runtime's ASGI application, for other people's HTTP servers to run: `seqc_application:application`."""

from session import BATCH, NAME, PATH

from seqc_runtime.model import load
from seqc_runtime.server.app import App
from seqc_runtime.server.asgi import Asgi
from seqc_runtime.server.repository import Repository
from seqc_runtime.server.servable import Servable

repository = Repository()
repository.add(Servable(NAME, 1, load(PATH, device="cpu", threads=1), max_batch=BATCH or 1))
application = Asgi(App(repository))
