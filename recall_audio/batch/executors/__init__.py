"""Where recordings are processed: in this process, in worker processes, or on a Dask cluster."""
