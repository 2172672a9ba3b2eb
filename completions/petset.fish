complete --keep-order --exclusive --command petset --arguments "(PETSET_COMPLETE=fish petset -- (commandline --current-process --tokenize --cut-at-cursor) (commandline --current-token))"
