"""Many encodes: planned as tasks, run by processes of this machine or of a cluster, recorded in a manifest."""
