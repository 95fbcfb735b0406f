"""What is no test below this folder."""

collect_ignore_glob = ["apps/*"]
