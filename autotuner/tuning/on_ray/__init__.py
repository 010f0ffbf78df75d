"""The only place that imports Ray: the cluster, its actors and jobs, Ray Tune."""
