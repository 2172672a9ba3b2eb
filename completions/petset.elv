
set edit:completion:arg-completer[petset] = { |@words|
    var index = (count $words)
    set index = (- $index 1)

    put (env _CLAP_IFS="\n" _CLAP_COMPLETE_INDEX=(to-string $index) PETSET_COMPLETE="elvish" petset -- $@words) | to-lines
}

