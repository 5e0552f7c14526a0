function __resync_should_offer_completions_for_flags_or_options -a expected_commands
    set -l non_repeating_flags_or_options $argv[2..]
    set -l non_repeating_flags_or_options_absent 0
    set -l positional_index 0
    set -l commands
    __resync_parse_tokens
    test "$commands" = "$expected_commands"; and return $non_repeating_flags_or_options_absent
end

function __resync_should_offer_completions_for_positional -a expected_commands positional_index_comparison expected_positional_index
    set -l non_repeating_flags_or_options
    set -l non_repeating_flags_or_options_absent 0
    set -l positional_index 0
    set -l commands
    __resync_parse_tokens
    test "$commands" = "$expected_commands" -a \( "$positional_index" "$positional_index_comparison" "$expected_positional_index" \)
end

function __resync_parse_tokens -S
    set -l unparsed_tokens (__resync_tokens -pc)
    switch $unparsed_tokens[1]
    case 'resync'
        __resync_parse_subcommand 0 'version' 'h/help'
        switch $unparsed_tokens[1]
        case 'verify'
            __resync_parse_subcommand 2 'assurance=' 'keep' 'since=+' 'suspect=' 'exclude=+' 'exclude-from=+' 'files-from=' 'from0' 'cross-mounts' 'with=+' 'without=+' 'modify-window=' 'owner-by=' 'digest=' 'block-size=' 'workers=' 'read-limit=' 'io-timeout=' 'confirm=' 'settle=' 'max-duration=' 'combined=' 'differ=' 'missing-on-a=' 'missing-on-b=' 'error=' '0/null' 'force' 'json' 'q/quiet' 'progress=' 'state=' 'version' 'h/help'
        case 'scan'
            __resync_parse_subcommand 1 'o/output=' 'whole-file' 'assurance=' 'force' 'q/quiet' 'progress=' 'exclude=+' 'exclude-from=+' 'files-from=' 'from0' 'cross-mounts' 'with=+' 'without=+' 'modify-window=' 'owner-by=' 'digest=' 'block-size=' 'workers=' 'read-limit=' 'io-timeout=' 'state=' 'version' 'h/help'
        case 'diff'
            __resync_parse_subcommand 2 'modify-window=' 'json' 'q/quiet' 'version' 'h/help'
        case 'manifest'
            __resync_parse_subcommand 0 'version' 'h/help'
            switch $unparsed_tokens[1]
            case 'show'
                __resync_parse_subcommand 1 'json' 'version' 'h/help'
            case 'check'
                __resync_parse_subcommand 1 'version' 'h/help'
            case 'export'
                __resync_parse_subcommand 1 'format=' 'o/output=' 'force' 'version' 'h/help'
            case 'import'
                __resync_parse_subcommand 1 'o/output=' 'prefix=' 'force' 'version' 'h/help'
            end
        case 'plan'
            __resync_parse_subcommand 0 'version' 'h/help'
            switch $unparsed_tokens[1]
            case 'make'
                __resync_parse_subcommand -r 1 'authority=' 'o/output=' 'conflict-resolve=' 'path=+' 'accept-deletions' 'specials' 'force' 'json' 'progress=' 'exclude=+' 'exclude-from=+' 'files-from=' 'from0' 'cross-mounts' 'with=+' 'without=+' 'modify-window=' 'owner-by=' 'state=' 'version' 'h/help'
            case 'show'
                __resync_parse_subcommand 1 'json' 'version' 'h/help'
            end
        case 'apply'
            __resync_parse_subcommand 1 'accept=' 'accept-open' 'read-limit=' 'write-limit=' 'undo-dir=' 'max-undo=' 'release-undo' 'workers=' 'json' 'progress=' 'io-timeout=' 'state=' 'version' 'h/help'
        case 'confirm'
            __resync_parse_subcommand 1 'release-undo' 'json' 'progress=' 'io-timeout=' 'state=' 'version' 'h/help'
        case 'undo'
            __resync_parse_subcommand 1 'json' 'progress=' 'io-timeout=' 'state=' 'version' 'h/help'
        case 'quarantine'
            __resync_parse_subcommand 0 'version' 'h/help'
            switch $unparsed_tokens[1]
            case 'list'
                __resync_parse_subcommand 0 'state=' 'version' 'h/help'
            case 'purge'
                __resync_parse_subcommand -r 1 'older-than=' 'state=' 'version' 'h/help'
            case 'erase'
                __resync_parse_subcommand 1 'state=' 'version' 'h/help'
            end
        case 'decide'
            __resync_parse_subcommand 2 'accept=' 'open' 'reason=' 'state=' 'version' 'h/help'
        case 'runs'
            __resync_parse_subcommand 0 'version' 'h/help'
            switch $unparsed_tokens[1]
            case 'list'
                __resync_parse_subcommand 0 'state=' 'version' 'h/help'
            case 'show'
                __resync_parse_subcommand 1 'json' 'state=' 'version' 'h/help'
            case 'resume'
                __resync_parse_subcommand 1 'state=' 'version' 'h/help'
            case 'pause'
                __resync_parse_subcommand 1 'state=' 'version' 'h/help'
            case 'limit'
                __resync_parse_subcommand 1 'read-limit=' 'write-limit=' 'state=' 'version' 'h/help'
            case 'delete'
                __resync_parse_subcommand -r 1 'state=' 'version' 'h/help'
            end
        case 'store'
            __resync_parse_subcommand 0 'version' 'h/help'
            switch $unparsed_tokens[1]
            case 'show'
                __resync_parse_subcommand 1 'version' 'h/help'
            case 'adopt'
                __resync_parse_subcommand 1 'state=' 'version' 'h/help'
            end
        case 'demo'
            __resync_parse_subcommand 0 'version' 'h/help'
        case 'help'
            __resync_parse_subcommand -r 1 'version'
        end
    end
end

function __resync_tokens
    if test (string split -m 1 -f 1 -- . "$FISH_VERSION") -gt 3
        commandline --tokens-raw $argv
    else
        commandline -o $argv
    end
end

function __resync_parse_subcommand -S -a positional_count
    argparse -s r -- $argv
    set -l option_specs $argv[2..]
    set -l is_repeating_positional $_flag_r
    set -el _flag_r
    set -a commands $unparsed_tokens[1]
    set positional_index 0
    while true
        set -e unparsed_tokens[1]
        argparse -sn "$commands" $option_specs -- $unparsed_tokens 2> /dev/null
        set unparsed_tokens $argv
        set positional_index (math $positional_index + 1)
        for non_repeating_flag_or_option in $non_repeating_flags_or_options
            if set -ql "_flag_$(string replace -a - _ -- $non_repeating_flag_or_option)"
                set non_repeating_flags_or_options_absent 1
                break
            end
        end
        test (count $unparsed_tokens) -eq 0 -o \( -z "$is_repeating_positional" -a "$positional_index" -gt "$positional_count" \) && break
    end
end

function __resync_complete_directories
    set -l token (commandline -t)
    string match -- '*/' $token
    set -l subdirs $token*/
    printf %s\n $subdirs
end

function __resync_custom_completion
    set -x SAP_SHELL fish
    set -x SAP_SHELL_VERSION $FISH_VERSION
    set -l tokens (__resync_tokens -p)
    if test -z "$(__resync_tokens -t)"
        set -l index (count (__resync_tokens -pc))
        set tokens $tokens[..$index] \'\' $tokens[(math $index + 1)..]
    end
    command $tokens[1] $argv $tokens
end

complete -c 'resync' -f
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync" version' -l 'version' -d 'Show the version.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'resync' -n '__resync_should_offer_completions_for_positional "resync" -eq 1' -fa 'verify' -d 'Compare two stores; never writes to them.'
complete -c 'resync' -n '__resync_should_offer_completions_for_positional "resync" -eq 1' -fa 'scan' -d 'List and digest one store into a manifest.'
complete -c 'resync' -n '__resync_should_offer_completions_for_positional "resync" -eq 1' -fa 'diff' -d 'Compare two manifests.'
complete -c 'resync' -n '__resync_should_offer_completions_for_positional "resync" -eq 1' -fa 'manifest' -d 'Look into manifests, and exchange them.'
complete -c 'resync' -n '__resync_should_offer_completions_for_positional "resync" -eq 1' -fa 'plan' -d 'Plan what makes two stores the same again.'
complete -c 'resync' -n '__resync_should_offer_completions_for_positional "resync" -eq 1' -fa 'apply' -d 'Carry a plan out; nothing that is replaced or deleted is lost.'
complete -c 'resync' -n '__resync_should_offer_completions_for_positional "resync" -eq 1' -fa 'confirm' -d 'Read back from the medium what a run changed, and record what agrees.'
complete -c 'resync' -n '__resync_should_offer_completions_for_positional "resync" -eq 1' -fa 'undo' -d 'Bring back what a run replaced or deleted.'
complete -c 'resync' -n '__resync_should_offer_completions_for_positional "resync" -eq 1' -fa 'quarantine' -d 'What runs displaced and keep, and freeing it.'
complete -c 'resync' -n '__resync_should_offer_completions_for_positional "resync" -eq 1' -fa 'decide' -d 'Say which side is right about a difference, and why.'
complete -c 'resync' -n '__resync_should_offer_completions_for_positional "resync" -eq 1' -fa 'runs' -d 'What earlier runs found, and going on with them.'
complete -c 'resync' -n '__resync_should_offer_completions_for_positional "resync" -eq 1' -fa 'store' -d 'The marker by which a store is known again.'
complete -c 'resync' -n '__resync_should_offer_completions_for_positional "resync" -eq 1' -fa 'demo' -d 'Damage one of two small stores in eight ways, and explain what verify says.'
complete -c 'resync' -n '__resync_should_offer_completions_for_positional "resync" -eq 1' -fa 'help' -d 'Show subcommand help information.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync verify" assurance' -l 'assurance' -d 'How strongly content is compared: media (past the page cache), hash, metadata, size. By default hash, but media where the machine shows trouble on a store.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync verify" keep' -l 'keep' -d 'Keep each side\'s digests for later runs (SHA-256; everything is read).'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync verify"' -l 'since' -d 'Use the digests of this manifest where nothing has changed since; once per side.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync verify" suspect' -l 'suspect' -d 'No digest kept before the end of this time counts (as 17:50..19:15).' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync verify"' -l 'exclude' -d 'Leave out what matches PATTERN, with rsync\'s pattern meaning.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync verify"' -l 'exclude-from' -d 'Read exclusions from FILE, one a line.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync verify" files-from' -l 'files-from' -d 'Look only at the paths listed in FILE (- for standard input), not below them.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync verify" from0' -l 'from0' -d 'The files of --exclude-from and --files-from separate names by NUL bytes.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync verify" cross-mounts' -l 'cross-mounts' -d 'Descend into other file systems mounted inside a store.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync verify"' -l 'with' -d 'Compare these aspects too: links, xattrs, acl, device.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync verify"' -l 'without' -d 'Do not compare these aspects.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync verify" modify-window' -l 'modify-window' -d 'Times no further apart than this agree (as 2s, 1ms).' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync verify" owner-by' -l 'owner-by' -d 'Compare owners by number (the default) or by name.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync verify" digest' -l 'digest' -d 'Digest blocks with gmac (not kept), sha256 or sha512-256.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync verify" block-size' -l 'block-size' -d 'Bytes of a block, 64KiB to 16MiB.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync verify" workers' -l 'workers' -d 'Workers; by default they follow the storage.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync verify" read-limit' -l 'read-limit' -d 'Read no faster than this from each side (as 200MiB/s).' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync verify" io-timeout' -l 'io-timeout' -d 'A read that is not answered in this time counts as stalled.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync verify" confirm' -l 'confirm' -d 'Look again at differences up to N times.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync verify" settle' -l 'settle' -d 'How long a difference must have been left alone to count.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync verify" max-duration' -l 'max-duration' -d 'End after this time, with a checkpoint to go on from.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync verify" combined' -l 'combined' -d 'Write a line per entry: = same, * differs, - missing on A, + missing on B, ! unreadable, ~ unstable, ? not verified.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync verify" differ' -l 'differ' -d 'Write the paths that differ.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync verify" missing-on-a missing-on-src' -l 'missing-on-a' -l 'missing-on-src' -d 'Write the paths missing on A.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync verify" missing-on-b missing-on-dst' -l 'missing-on-b' -l 'missing-on-dst' -d 'Write the paths missing on B.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync verify" error' -l 'error' -d 'Write the paths that could not be verified.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync verify" 0 null' -s '0' -l 'null' -d 'End names in these files with NUL, unescaped.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync verify" force' -l 'force' -d 'Replace files that exist.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync verify" json' -l 'json' -d 'Print JSON Lines instead of text.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync verify" q quiet' -s 'q' -l 'quiet' -d 'Print nothing at all when in sync.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync verify" progress' -l 'progress' -d 'Progress on standard error.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync verify" state' -l 'state' -d 'Keep runs in this folder instead of /var/lib/resync (root) or $XDG_STATE_HOME/resync.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync verify" version' -l 'version' -d 'Show the version.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync verify" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync scan" o output' -l 'output' -s 'o' -d 'Where the manifest goes.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync scan" whole-file' -l 'whole-file' -d 'Keep plain SHA-256 of whole files too: exports need it.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync scan" assurance' -l 'assurance' -d 'media (read past the page cache) or hash.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync scan" force' -l 'force' -d 'Replace a manifest that exists.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync scan" q quiet' -s 'q' -l 'quiet' -d 'Print nothing when all was read.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync scan" progress' -l 'progress' -d 'Progress on standard error.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync scan"' -l 'exclude' -d 'Leave out what matches PATTERN, with rsync\'s pattern meaning.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync scan"' -l 'exclude-from' -d 'Read exclusions from FILE, one a line.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync scan" files-from' -l 'files-from' -d 'Look only at the paths listed in FILE (- for standard input), not below them.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync scan" from0' -l 'from0' -d 'The files of --exclude-from and --files-from separate names by NUL bytes.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync scan" cross-mounts' -l 'cross-mounts' -d 'Descend into other file systems mounted inside a store.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync scan"' -l 'with' -d 'Compare these aspects too: links, xattrs, acl, device.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync scan"' -l 'without' -d 'Do not compare these aspects.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync scan" modify-window' -l 'modify-window' -d 'Times no further apart than this agree (as 2s, 1ms).' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync scan" owner-by' -l 'owner-by' -d 'Compare owners by number (the default) or by name.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync scan" digest' -l 'digest' -d 'Digest blocks with gmac (not kept), sha256 or sha512-256.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync scan" block-size' -l 'block-size' -d 'Bytes of a block, 64KiB to 16MiB.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync scan" workers' -l 'workers' -d 'Workers; by default they follow the storage.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync scan" read-limit' -l 'read-limit' -d 'Read no faster than this from each side (as 200MiB/s).' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync scan" io-timeout' -l 'io-timeout' -d 'A read that is not answered in this time counts as stalled.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync scan" state' -l 'state' -d 'Keep runs in this folder instead of /var/lib/resync (root) or $XDG_STATE_HOME/resync.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync scan" version' -l 'version' -d 'Show the version.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync scan" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync diff" modify-window' -l 'modify-window' -d 'Times no further apart than this agree (as 2s, 1ms).' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync diff" json' -l 'json' -d 'Print JSON Lines instead of text.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync diff" q quiet' -s 'q' -l 'quiet' -d 'Print nothing at all when in sync.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync diff" version' -l 'version' -d 'Show the version.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync diff" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync manifest" version' -l 'version' -d 'Show the version.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync manifest" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'resync' -n '__resync_should_offer_completions_for_positional "resync manifest" -eq 1' -fa 'show' -d 'Print what a manifest says, after checking all of it.'
complete -c 'resync' -n '__resync_should_offer_completions_for_positional "resync manifest" -eq 1' -fa 'check' -d 'Check that a manifest is whole and unaltered.'
complete -c 'resync' -n '__resync_should_offer_completions_for_positional "resync manifest" -eq 1' -fa 'export' -d 'Say it in the words of sha256sum, mtree or JSON Lines.'
complete -c 'resync' -n '__resync_should_offer_completions_for_positional "resync manifest" -eq 1' -fa 'import' -d 'Make a manifest of a list that sha256sum -z wrote.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync manifest show" json' -l 'json' -d 'Print every entry as JSON Lines.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync manifest show" version' -l 'version' -d 'Show the version.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync manifest show" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync manifest check" version' -l 'version' -d 'Show the version.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync manifest check" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync manifest export" format' -l 'format' -d 'The words.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync manifest export" o output' -l 'output' -s 'o' -d 'Where to; standard output by default.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync manifest export" force' -l 'force' -d 'Replace a file that exists.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync manifest export" version' -l 'version' -d 'Show the version.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync manifest export" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync manifest import" o output' -l 'output' -s 'o' -d 'Where the manifest goes.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync manifest import" prefix' -l 'prefix' -d 'Where the store lay when the list was made; taken off each path.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync manifest import" force' -l 'force' -d 'Replace a manifest that exists.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync manifest import" version' -l 'version' -d 'Show the version.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync manifest import" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync plan" version' -l 'version' -d 'Show the version.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync plan" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'resync' -n '__resync_should_offer_completions_for_positional "resync plan" -eq 1' -fa 'make' -d 'Make a plan from what a comparison found; changes nothing.'
complete -c 'resync' -n '__resync_should_offer_completions_for_positional "resync plan" -eq 1' -fa 'show' -d 'Print what a plan would do, and the space it needs.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync plan make" authority' -l 'authority' -d 'Who is right.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync plan make" o output' -l 'output' -s 'o' -d 'Where the plan goes.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync plan make" conflict-resolve' -l 'conflict-resolve' -d 'What is taken where both sides changed an entry.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync plan make"' -l 'path' -d 'Plan only this path and what is below it.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync plan make" accept-deletions' -l 'accept-deletions' -d 'Plan deletions of what was lost from a side that had an episode, too.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync plan make" specials' -l 'specials' -d 'Make fifos, sockets and devices, too.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync plan make" force' -l 'force' -d 'Replace a plan that exists.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync plan make" json' -l 'json' -d 'Print JSON Lines instead of text.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync plan make" progress' -l 'progress' -d 'Progress on standard error.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync plan make"' -l 'exclude' -d 'Leave out what matches PATTERN, with rsync\'s pattern meaning.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync plan make"' -l 'exclude-from' -d 'Read exclusions from FILE, one a line.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync plan make" files-from' -l 'files-from' -d 'Look only at the paths listed in FILE (- for standard input), not below them.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync plan make" from0' -l 'from0' -d 'The files of --exclude-from and --files-from separate names by NUL bytes.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync plan make" cross-mounts' -l 'cross-mounts' -d 'Descend into other file systems mounted inside a store.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync plan make"' -l 'with' -d 'Compare these aspects too: links, xattrs, acl, device.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync plan make"' -l 'without' -d 'Do not compare these aspects.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync plan make" modify-window' -l 'modify-window' -d 'Times no further apart than this agree (as 2s, 1ms).' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync plan make" owner-by' -l 'owner-by' -d 'Compare owners by number (the default) or by name.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync plan make" state' -l 'state' -d 'Keep runs in this folder instead of /var/lib/resync (root) or $XDG_STATE_HOME/resync.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync plan make" version' -l 'version' -d 'Show the version.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync plan make" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync plan show" json' -l 'json' -d 'Print JSON Lines instead of text.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync plan show" version' -l 'version' -d 'Show the version.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync plan show" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync apply" accept' -l 'accept' -d 'Carry it out although a guard stands against it: the plan\'s id, or its first 12 digits.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync apply" accept-open' -l 'accept-open' -d 'Change files that a process has open for writing, too.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync apply" read-limit' -l 'read-limit' -d 'Read no faster than this from the source.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync apply" write-limit' -l 'write-limit' -d 'Write no faster than this.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync apply" undo-dir' -l 'undo-dir' -d 'Of an image or device: make the undo file in this directory.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync apply" max-undo' -l 'max-undo' -d 'Keep no more than this for an undo, on each side; the rest of the plan waits.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync apply" release-undo' -l 'release-undo' -d 'Where there is no room for the whole plan at once: free for good what a slice of it displaced, once that was read back, and go on with the next.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync apply" workers' -l 'workers' -d 'Workers.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync apply" json' -l 'json' -d 'Print JSON Lines instead of text.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync apply" progress' -l 'progress' -d 'Progress on standard error.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync apply" io-timeout' -l 'io-timeout' -d 'A store that does not answer in this time is named, and the run ends.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync apply" state' -l 'state' -d 'Keep runs in this folder instead of /var/lib/resync (root) or $XDG_STATE_HOME/resync.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync apply" version' -l 'version' -d 'Show the version.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync apply" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync confirm" release-undo' -l 'release-undo' -d 'Once all of it agrees, free for good what the run displaced; it stays then.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync confirm" json' -l 'json' -d 'Print JSON Lines instead of text.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync confirm" progress' -l 'progress' -d 'Progress on standard error.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync confirm" io-timeout' -l 'io-timeout' -d 'A store that does not answer in this time is named, and the run ends.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync confirm" state' -l 'state' -d 'Keep runs in this folder instead of /var/lib/resync (root) or $XDG_STATE_HOME/resync.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync confirm" version' -l 'version' -d 'Show the version.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync confirm" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync undo" json' -l 'json' -d 'Print JSON Lines instead of text.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync undo" progress' -l 'progress' -d 'Progress on standard error.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync undo" io-timeout' -l 'io-timeout' -d 'A store that does not answer in this time is named, and the run ends.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync undo" state' -l 'state' -d 'Keep runs in this folder instead of /var/lib/resync (root) or $XDG_STATE_HOME/resync.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync undo" version' -l 'version' -d 'Show the version.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync undo" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync quarantine" version' -l 'version' -d 'Show the version.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync quarantine" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'resync' -n '__resync_should_offer_completions_for_positional "resync quarantine" -eq 1' -fa 'list' -d 'List what is kept, and of which run.'
complete -c 'resync' -n '__resync_should_offer_completions_for_positional "resync quarantine" -eq 1' -fa 'purge' -d 'Free what confirmed runs keep; they can then no longer be taken back.'
complete -c 'resync' -n '__resync_should_offer_completions_for_positional "resync quarantine" -eq 1' -fa 'erase' -d 'Free what is kept of one path, in every run, and record it.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync quarantine list" state' -l 'state' -d 'Keep runs in this folder instead of /var/lib/resync (root) or $XDG_STATE_HOME/resync.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync quarantine list" version' -l 'version' -d 'Show the version.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync quarantine list" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync quarantine purge" older-than' -l 'older-than' -d 'How long ago a run was confirmed.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync quarantine purge" state' -l 'state' -d 'Keep runs in this folder instead of /var/lib/resync (root) or $XDG_STATE_HOME/resync.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync quarantine purge" version' -l 'version' -d 'Show the version.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync quarantine purge" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync quarantine erase" state' -l 'state' -d 'Keep runs in this folder instead of /var/lib/resync (root) or $XDG_STATE_HOME/resync.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync quarantine erase" version' -l 'version' -d 'Show the version.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync quarantine erase" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync decide" accept' -l 'accept' -d 'This side\'s copy is right.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync decide" open' -l 'open' -d 'It is to be decided anew.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync decide" reason' -l 'reason' -d 'Why.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync decide" state' -l 'state' -d 'Keep runs in this folder instead of /var/lib/resync (root) or $XDG_STATE_HOME/resync.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync decide" version' -l 'version' -d 'Show the version.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync decide" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync runs" version' -l 'version' -d 'Show the version.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync runs" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'resync' -n '__resync_should_offer_completions_for_positional "resync runs" -eq 1' -fa 'list' -d 'List the runs that are kept.'
complete -c 'resync' -n '__resync_should_offer_completions_for_positional "resync runs" -eq 1' -fa 'show' -d 'Print what a run found.'
complete -c 'resync' -n '__resync_should_offer_completions_for_positional "resync runs" -eq 1' -fa 'resume' -d 'Go on with a run that was interrupted or paused.'
complete -c 'resync' -n '__resync_should_offer_completions_for_positional "resync runs" -eq 1' -fa 'pause' -d 'Hold up a run that is under way.'
complete -c 'resync' -n '__resync_should_offer_completions_for_positional "resync runs" -eq 1' -fa 'limit' -d 'Change the rates of a run that is under way.'
complete -c 'resync' -n '__resync_should_offer_completions_for_positional "resync runs" -eq 1' -fa 'delete' -d 'Forget a run.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync runs list" state' -l 'state' -d 'Keep runs in this folder instead of /var/lib/resync (root) or $XDG_STATE_HOME/resync.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync runs list" version' -l 'version' -d 'Show the version.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync runs list" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync runs show" json' -l 'json' -d 'Print JSON Lines instead of text.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync runs show" state' -l 'state' -d 'Keep runs in this folder instead of /var/lib/resync (root) or $XDG_STATE_HOME/resync.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync runs show" version' -l 'version' -d 'Show the version.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync runs show" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync runs resume" state' -l 'state' -d 'Keep runs in this folder instead of /var/lib/resync (root) or $XDG_STATE_HOME/resync.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync runs resume" version' -l 'version' -d 'Show the version.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync runs resume" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync runs pause" state' -l 'state' -d 'Keep runs in this folder instead of /var/lib/resync (root) or $XDG_STATE_HOME/resync.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync runs pause" version' -l 'version' -d 'Show the version.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync runs pause" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync runs limit" read-limit' -l 'read-limit' -d 'Read no faster than this from each side; none for any rate.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync runs limit" write-limit' -l 'write-limit' -d 'Write no faster than this; none for any rate.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync runs limit" state' -l 'state' -d 'Keep runs in this folder instead of /var/lib/resync (root) or $XDG_STATE_HOME/resync.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync runs limit" version' -l 'version' -d 'Show the version.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync runs limit" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync runs delete" state' -l 'state' -d 'Keep runs in this folder instead of /var/lib/resync (root) or $XDG_STATE_HOME/resync.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync runs delete" version' -l 'version' -d 'Show the version.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync runs delete" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync store" version' -l 'version' -d 'Show the version.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync store" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'resync' -n '__resync_should_offer_completions_for_positional "resync store" -eq 1' -fa 'show' -d 'Print what a store\'s marker says.'
complete -c 'resync' -n '__resync_should_offer_completions_for_positional "resync store" -eq 1' -fa 'adopt' -d 'Take a store that has no marker, or one that was made elsewhere.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync store show" version' -l 'version' -d 'Show the version.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync store show" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync store adopt" state' -l 'state' -d 'Keep runs in this folder instead of /var/lib/resync (root) or $XDG_STATE_HOME/resync.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync store adopt" version' -l 'version' -d 'Show the version.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync store adopt" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync demo" version' -l 'version' -d 'Show the version.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync demo" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync help" version' -l 'version' -d 'Show the version.'
