"""What several tests of the runtime share: models, servers, clients, and forms of requests."""
