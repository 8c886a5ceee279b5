"""The server's gRPC side: the same models, jobs and errors as over HTTP."""
