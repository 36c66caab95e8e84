"""`tidewire bench`: a project's own consumers, measured on the server that it has and on tidewire's."""
