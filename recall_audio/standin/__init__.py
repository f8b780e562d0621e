"""A stand-in of the API and its store on loopback, for the demo and the tests."""
