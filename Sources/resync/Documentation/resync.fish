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
            __resync_parse_subcommand 2 'module=' 'only=' 'against=' 'assurance=' 'keep' 'since=+' 'suspect=' 'exclude=+' 'exclude-from=+' 'files-from=' 'from0' 'cross-mounts' 'with=+' 'without=+' 'modify-window=' 'owner-by=' 'digest=' 'block-size=' 'workers=' 'read-limit=' 'io-timeout=' 'confirm=' 'settle=' 'max-duration=' 'ramp=' 'combined=' 'differ=' 'missing-on-a=' 'missing-on-b=' 'error=' '0/null' 'force' 'json' 'q/quiet' 'progress=' 'state=' 'config=' 'version' 'h/help'
        case 'scan'
            __resync_parse_subcommand 1 'o/output=' 'whole-file' 'assurance=' 'max-duration=' 'force' 'q/quiet' 'progress=' 'exclude=+' 'exclude-from=+' 'files-from=' 'from0' 'cross-mounts' 'with=+' 'without=+' 'modify-window=' 'owner-by=' 'digest=' 'block-size=' 'workers=' 'read-limit=' 'io-timeout=' 'state=' 'version' 'h/help'
        case 'diff'
            __resync_parse_subcommand 2 'modify-window=' 'json' 'q/quiet' 'io-timeout=' 'version' 'h/help'
        case 'manifest'
            __resync_parse_subcommand 0 'version' 'h/help'
            switch $unparsed_tokens[1]
            case 'show'
                __resync_parse_subcommand 1 'json' 'io-timeout=' 'version' 'h/help'
            case 'check'
                __resync_parse_subcommand 1 'io-timeout=' 'version' 'h/help'
            case 'export'
                __resync_parse_subcommand 1 'format=' 'o/output=' 'force' 'io-timeout=' 'version' 'h/help'
            case 'import'
                __resync_parse_subcommand 1 'o/output=' 'prefix=' 'force' 'version' 'h/help'
            end
        case 'plan'
            __resync_parse_subcommand 0 'version' 'h/help'
            switch $unparsed_tokens[1]
            case 'make'
                __resync_parse_subcommand -r 1 'authority=' 'o/output=' 'conflict-resolve=' 'path=+' 'module=+' 'accept-deletions' 'specials' 'force' 'json' 'progress=' 'io-timeout=' 'exclude=+' 'exclude-from=+' 'files-from=' 'from0' 'cross-mounts' 'with=+' 'without=+' 'modify-window=' 'owner-by=' 'state=' 'config=' 'version' 'h/help'
            case 'show'
                __resync_parse_subcommand 1 'json' 'io-timeout=' 'version' 'h/help'
            end
        case 'apply'
            __resync_parse_subcommand 1 'accept=' 'accept-open' 'read-limit=' 'write-limit=' 'undo-dir=' 'max-undo=' 'release-undo' 'workers=' 'json' 'progress=' 'io-timeout=' 'state=' 'config=' 'version' 'h/help'
        case 'confirm'
            __resync_parse_subcommand 1 'release-undo' 'json' 'progress=' 'io-timeout=' 'state=' 'version' 'h/help'
        case 'undo'
            __resync_parse_subcommand 1 'json' 'progress=' 'io-timeout=' 'state=' 'version' 'h/help'
        case 'quarantine'
            __resync_parse_subcommand 0 'version' 'h/help'
            switch $unparsed_tokens[1]
            case 'list'
                __resync_parse_subcommand -r 1 'state=' 'version' 'h/help'
            case 'copy'
                __resync_parse_subcommand 2 'state=' 'version' 'h/help'
            case 'purge'
                __resync_parse_subcommand -r 1 'older-than=' 'state=' 'version' 'h/help'
            case 'erase'
                __resync_parse_subcommand 1 'run=' 'state=' 'version' 'h/help'
            end
        case 'decide'
            __resync_parse_subcommand 2 'accept=' 'open' 'reason=' 'module=' 'state=' 'config=' 'version' 'h/help'
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
                __resync_parse_subcommand 1 'io-timeout=' 'version' 'h/help'
            case 'adopt'
                __resync_parse_subcommand 1 'force' 'io-timeout=' 'state=' 'version' 'h/help'
            end
        case 'watch'
            __resync_parse_subcommand 0 'config=' 'state=' 'record=' 'replay=' 'no-verify' 'version' 'h/help'
        case 'status'
            __resync_parse_subcommand 0 'json' 'prometheus' 'nagios' 'config=' 'state=' 'version' 'h/help'
        case 'gate'
            __resync_parse_subcommand 1 'override' 'reason=' 'for=' 'json' 'config=' 'state=' 'version' 'h/help'
        case 'nightly'
            __resync_parse_subcommand -r 1 'config=' 'state=' 'version' 'h/help'
        case 'schedule'
            __resync_parse_subcommand 1 'simulate' 'read-limit=' 'all' 'json' 'config=' 'state=' 'version' 'h/help'
        case 'bench'
            __resync_parse_subcommand 1 'max-duration=' 'json' 'progress=' 'exclude=+' 'exclude-from=+' 'files-from=' 'from0' 'cross-mounts' 'digest=' 'block-size=' 'workers=' 'read-limit=' 'io-timeout=' 'state=' 'version' 'h/help'
        case 'episode'
            __resync_parse_subcommand 0 'version' 'h/help'
            switch $unparsed_tokens[1]
            case 'list'
                __resync_parse_subcommand 0 'since=' 'json' 'state=' 'version' 'h/help'
            case 'show'
                __resync_parse_subcommand 1 'json' 'state=' 'version' 'h/help'
            case 'open'
                __resync_parse_subcommand 1 'from=' 'to=' 'class=' 'note=' 'config=' 'state=' 'version' 'h/help'
            case 'close'
                __resync_parse_subcommand 1 'note=' 'state=' 'version' 'h/help'
            case 'import'
                __resync_parse_subcommand 0 'journal=' 'store=' 'device=+' 'good=' 'to=' 'boot=' 'zone=' 'dry-run' 'config=' 'state=' 'version' 'h/help'
            case 'maintenance'
                __resync_parse_subcommand 1 'for=' 'state=' 'version' 'h/help'
            case 'accept'
                __resync_parse_subcommand 1 'note=' 'state=' 'version' 'h/help'
            end
        case 'config'
            __resync_parse_subcommand 0 'version' 'h/help'
            switch $unparsed_tokens[1]
            case 'check'
                __resync_parse_subcommand 0 'config=' 'version' 'h/help'
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
complete -c 'resync' -n '__resync_should_offer_completions_for_positional "resync" -eq 1' -fa 'watch' -d 'Notice when a store is no longer safely writable, and when it is again.'
complete -c 'resync' -n '__resync_should_offer_completions_for_positional "resync" -eq 1' -fa 'status' -d 'Say of each watched store and module how it is, and why.'
complete -c 'resync' -n '__resync_should_offer_completions_for_positional "resync" -eq 1' -fa 'gate' -d 'Say whether a module\'s service may run on its data.'
complete -c 'resync' -n '__resync_should_offer_completions_for_positional "resync" -eq 1' -fa 'nightly' -d 'Compare all pairs of the configuration, as cron or a timer does each night.'
complete -c 'resync' -n '__resync_should_offer_completions_for_positional "resync" -eq 1' -fa 'schedule' -d 'Say in which order modules are best verified after an episode.'
complete -c 'resync' -n '__resync_should_offer_completions_for_positional "resync" -eq 1' -fa 'bench' -d 'Say how long a full verification of a store would take.'
complete -c 'resync' -n '__resync_should_offer_completions_for_positional "resync" -eq 1' -fa 'episode' -d 'The times in which a store was not safely writable.'
complete -c 'resync' -n '__resync_should_offer_completions_for_positional "resync" -eq 1' -fa 'config' -d 'The configuration of what is watched.'
complete -c 'resync' -n '__resync_should_offer_completions_for_positional "resync" -eq 1' -fa 'demo' -d 'Damage one of two small stores in eight ways, and explain what verify says.'
complete -c 'resync' -n '__resync_should_offer_completions_for_positional "resync" -eq 1' -fa 'help' -d 'Show subcommand help information.'
complete -c 'resync' -n '__resync_should_offer_completions_for_positional "resync verify" -eq 1' -F
complete -c 'resync' -n '__resync_should_offer_completions_for_positional "resync verify" -eq 2' -F
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync verify" module' -l 'module' -d 'Compare this module of the configuration.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync verify" only' -l 'only' -d 'Of a pair or module, compare this alone: unproven (what was not proven equal since the last episode), suspect (of that, what is likely to be damaged), hot (of that, what lies in hot paths), or rest (of that, what lies in no module).' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync verify" against' -l 'against' -d 'With one store: hold it against the baseline, that is what it and its other copy were last proven to share.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync verify" assurance' -l 'assurance' -d 'How strongly content is compared: media (past the page cache), hash, cached (with kept digests), metadata, size. By default hash, but media where the machine shows trouble on a store.' -rfka 'media hash cached metadata size'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync verify" keep' -l 'keep' -d 'Keep each side\'s digests for later runs (SHA-256; everything is read).'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync verify"' -l 'since' -d 'Use the digests of this manifest where nothing has changed since; once per side.' -rF
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync verify" suspect' -l 'suspect' -d 'No digest kept before the end of this time counts (as 17:50..19:15).' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync verify"' -l 'exclude' -d 'Leave out what matches PATTERN, with rsync\'s pattern meaning.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync verify"' -l 'exclude-from' -d 'Read exclusions from FILE, one a line.' -rF
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync verify" files-from' -l 'files-from' -d 'Look only at the paths listed in FILE (- for standard input), not below them.' -rF
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync verify" from0' -l 'from0' -d 'The files of --exclude-from and --files-from separate names by NUL bytes.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync verify" cross-mounts' -l 'cross-mounts' -d 'Descend into other file systems mounted inside a store.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync verify"' -l 'with' -d 'Compare these aspects too: links, xattrs, acl, device.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync verify"' -l 'without' -d 'Do not compare these aspects.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync verify" modify-window' -l 'modify-window' -d 'Times no further apart than this agree (as 2s, 1ms).' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync verify" owner-by' -l 'owner-by' -d 'Compare owners by number (the default) or by name.' -rfka 'number name'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync verify" digest' -l 'digest' -d 'Digest blocks with gmac (not kept), sha256 or sha512-256.' -rfka 'gmac sha256 sha512-256'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync verify" block-size' -l 'block-size' -d 'Bytes of a block, 64KiB to 16MiB.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync verify" workers' -l 'workers' -d 'Workers; by default they follow the storage.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync verify" read-limit' -l 'read-limit' -d 'Read no faster than this from each side (as 200MiB/s).' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync verify" io-timeout' -l 'io-timeout' -d 'A read that is not answered in this time counts as stalled.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync verify" confirm' -l 'confirm' -d 'Look again at differences up to N times.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync verify" settle' -l 'settle' -d 'How long a difference must have been left alone to count.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync verify" max-duration' -l 'max-duration' -d 'End after this time, with a checkpoint to go on from.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync verify" ramp' -l 'ramp' -d 'Begin with this share of --read-limit (0.1 to 1), and double it while the devices answer as they usually do.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync verify" combined' -l 'combined' -d 'Write a line per entry: = same, * differs, - missing on A, + missing on B, ! unreadable, ~ unstable, ? not verified.' -rF
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync verify" differ' -l 'differ' -d 'Write the paths that differ.' -rF
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync verify" missing-on-a missing-on-src' -l 'missing-on-a' -l 'missing-on-src' -d 'Write the paths missing on A.' -rF
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync verify" missing-on-b missing-on-dst' -l 'missing-on-b' -l 'missing-on-dst' -d 'Write the paths missing on B.' -rF
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync verify" error' -l 'error' -d 'Write the paths that could not be verified.' -rF
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync verify" 0 null' -s '0' -l 'null' -d 'End names in these files with NUL, unescaped.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync verify" force' -l 'force' -d 'Replace files that exist.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync verify" json' -l 'json' -d 'Print JSON Lines instead of text.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync verify" q quiet' -s 'q' -l 'quiet' -d 'Print nothing at all when in sync.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync verify" progress' -l 'progress' -d 'Progress on standard error.' -rfka 'auto json none'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync verify" state' -l 'state' -d 'Keep runs in this folder instead of /var/lib/resync (root) or $XDG_STATE_HOME/resync.' -rfa '(__resync_complete_directories)'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync verify" config' -l 'config' -d 'The configuration instead of /etc/resync/resync.yaml.' -rF
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync verify" version' -l 'version' -d 'Show the version.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync verify" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'resync' -n '__resync_should_offer_completions_for_positional "resync scan" -eq 1' -F
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync scan" o output' -l 'output' -s 'o' -d 'Where the manifest goes.' -rF
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync scan" whole-file' -l 'whole-file' -d 'Keep plain SHA-256 of whole files too: exports need it.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync scan" assurance' -l 'assurance' -d 'media (read past the page cache) or hash.' -rfka 'media hash cached metadata size'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync scan" max-duration' -l 'max-duration' -d 'End after this time, with a checkpoint to go on from.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync scan" force' -l 'force' -d 'Replace a manifest that exists.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync scan" q quiet' -s 'q' -l 'quiet' -d 'Print nothing when all was read.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync scan" progress' -l 'progress' -d 'Progress on standard error.' -rfka 'auto json none'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync scan"' -l 'exclude' -d 'Leave out what matches PATTERN, with rsync\'s pattern meaning.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync scan"' -l 'exclude-from' -d 'Read exclusions from FILE, one a line.' -rF
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync scan" files-from' -l 'files-from' -d 'Look only at the paths listed in FILE (- for standard input), not below them.' -rF
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync scan" from0' -l 'from0' -d 'The files of --exclude-from and --files-from separate names by NUL bytes.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync scan" cross-mounts' -l 'cross-mounts' -d 'Descend into other file systems mounted inside a store.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync scan"' -l 'with' -d 'Compare these aspects too: links, xattrs, acl, device.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync scan"' -l 'without' -d 'Do not compare these aspects.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync scan" modify-window' -l 'modify-window' -d 'Times no further apart than this agree (as 2s, 1ms).' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync scan" owner-by' -l 'owner-by' -d 'Compare owners by number (the default) or by name.' -rfka 'number name'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync scan" digest' -l 'digest' -d 'Digest blocks with gmac (not kept), sha256 or sha512-256.' -rfka 'gmac sha256 sha512-256'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync scan" block-size' -l 'block-size' -d 'Bytes of a block, 64KiB to 16MiB.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync scan" workers' -l 'workers' -d 'Workers; by default they follow the storage.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync scan" read-limit' -l 'read-limit' -d 'Read no faster than this from each side (as 200MiB/s).' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync scan" io-timeout' -l 'io-timeout' -d 'A read that is not answered in this time counts as stalled.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync scan" state' -l 'state' -d 'Keep runs in this folder instead of /var/lib/resync (root) or $XDG_STATE_HOME/resync.' -rfa '(__resync_complete_directories)'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync scan" version' -l 'version' -d 'Show the version.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync scan" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'resync' -n '__resync_should_offer_completions_for_positional "resync diff" -eq 1' -F
complete -c 'resync' -n '__resync_should_offer_completions_for_positional "resync diff" -eq 2' -F
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync diff" modify-window' -l 'modify-window' -d 'Times no further apart than this agree (as 2s, 1ms).' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync diff" json' -l 'json' -d 'Print JSON Lines instead of text.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync diff" q quiet' -s 'q' -l 'quiet' -d 'Print nothing at all when in sync.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync diff" io-timeout' -l 'io-timeout' -d 'A store that does not answer in this time is named, and the run ends.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync diff" version' -l 'version' -d 'Show the version.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync diff" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync manifest" version' -l 'version' -d 'Show the version.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync manifest" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'resync' -n '__resync_should_offer_completions_for_positional "resync manifest" -eq 1' -fa 'show' -d 'Print what a manifest says, after checking all of it.'
complete -c 'resync' -n '__resync_should_offer_completions_for_positional "resync manifest" -eq 1' -fa 'check' -d 'Check that a manifest is whole and unaltered.'
complete -c 'resync' -n '__resync_should_offer_completions_for_positional "resync manifest" -eq 1' -fa 'export' -d 'Say it in the words of sha256sum, mtree or JSON Lines.'
complete -c 'resync' -n '__resync_should_offer_completions_for_positional "resync manifest" -eq 1' -fa 'import' -d 'Make a manifest of a list that sha256sum -z wrote.'
complete -c 'resync' -n '__resync_should_offer_completions_for_positional "resync manifest show" -eq 1' -F
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync manifest show" json' -l 'json' -d 'Print every entry as JSON Lines.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync manifest show" io-timeout' -l 'io-timeout' -d 'A store that does not answer in this time is named, and the run ends.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync manifest show" version' -l 'version' -d 'Show the version.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync manifest show" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'resync' -n '__resync_should_offer_completions_for_positional "resync manifest check" -eq 1' -F
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync manifest check" io-timeout' -l 'io-timeout' -d 'A store that does not answer in this time is named, and the run ends.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync manifest check" version' -l 'version' -d 'Show the version.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync manifest check" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'resync' -n '__resync_should_offer_completions_for_positional "resync manifest export" -eq 1' -F
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync manifest export" format' -l 'format' -d 'The words.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync manifest export" o output' -l 'output' -s 'o' -d 'Where to; standard output by default.' -rF
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync manifest export" force' -l 'force' -d 'Replace a file that exists.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync manifest export" io-timeout' -l 'io-timeout' -d 'A store that does not answer in this time is named, and the run ends.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync manifest export" version' -l 'version' -d 'Show the version.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync manifest export" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'resync' -n '__resync_should_offer_completions_for_positional "resync manifest import" -eq 1' -F
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync manifest import" o output' -l 'output' -s 'o' -d 'Where the manifest goes.' -rF
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync manifest import" prefix' -l 'prefix' -d 'Where the store lay when the list was made; taken off each path.' -rfa '(__resync_complete_directories)'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync manifest import" force' -l 'force' -d 'Replace a manifest that exists.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync manifest import" version' -l 'version' -d 'Show the version.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync manifest import" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync plan" version' -l 'version' -d 'Show the version.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync plan" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'resync' -n '__resync_should_offer_completions_for_positional "resync plan" -eq 1' -fa 'make' -d 'Make a plan from what a comparison found; changes nothing.'
complete -c 'resync' -n '__resync_should_offer_completions_for_positional "resync plan" -eq 1' -fa 'show' -d 'Print what a plan would do, and the space it needs.'
complete -c 'resync' -n '__resync_should_offer_completions_for_positional "resync plan make" -ge 1' -F
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync plan make" authority' -l 'authority' -d 'Who is right.' -rfka 'a b baseline union'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync plan make" o output' -l 'output' -s 'o' -d 'Where the plan goes.' -rF
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync plan make" conflict-resolve' -l 'conflict-resolve' -d 'What is taken where both sides changed an entry.' -rfka 'a b newer larger'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync plan make"' -l 'path' -d 'Plan only this path and what is below it.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync plan make"' -l 'module' -d 'Plan only what lies in this module of the configuration.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync plan make" accept-deletions' -l 'accept-deletions' -d 'Plan deletions of what was lost from a side that had an episode, too.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync plan make" specials' -l 'specials' -d 'Make fifos, sockets and devices, too.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync plan make" force' -l 'force' -d 'Replace a plan that exists.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync plan make" json' -l 'json' -d 'Print JSON Lines instead of text.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync plan make" progress' -l 'progress' -d 'Progress on standard error.' -rfka 'auto json none'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync plan make" io-timeout' -l 'io-timeout' -d 'A store that does not answer in this time is named, and the run ends.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync plan make"' -l 'exclude' -d 'Leave out what matches PATTERN, with rsync\'s pattern meaning.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync plan make"' -l 'exclude-from' -d 'Read exclusions from FILE, one a line.' -rF
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync plan make" files-from' -l 'files-from' -d 'Look only at the paths listed in FILE (- for standard input), not below them.' -rF
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync plan make" from0' -l 'from0' -d 'The files of --exclude-from and --files-from separate names by NUL bytes.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync plan make" cross-mounts' -l 'cross-mounts' -d 'Descend into other file systems mounted inside a store.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync plan make"' -l 'with' -d 'Compare these aspects too: links, xattrs, acl, device.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync plan make"' -l 'without' -d 'Do not compare these aspects.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync plan make" modify-window' -l 'modify-window' -d 'Times no further apart than this agree (as 2s, 1ms).' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync plan make" owner-by' -l 'owner-by' -d 'Compare owners by number (the default) or by name.' -rfka 'number name'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync plan make" state' -l 'state' -d 'Keep runs in this folder instead of /var/lib/resync (root) or $XDG_STATE_HOME/resync.' -rfa '(__resync_complete_directories)'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync plan make" config' -l 'config' -d 'The configuration instead of /etc/resync/resync.yaml.' -rF
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync plan make" version' -l 'version' -d 'Show the version.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync plan make" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'resync' -n '__resync_should_offer_completions_for_positional "resync plan show" -eq 1' -F
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync plan show" json' -l 'json' -d 'Print JSON Lines instead of text.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync plan show" io-timeout' -l 'io-timeout' -d 'A store that does not answer in this time is named, and the run ends.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync plan show" version' -l 'version' -d 'Show the version.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync plan show" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'resync' -n '__resync_should_offer_completions_for_positional "resync apply" -eq 1' -F
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync apply" accept' -l 'accept' -d 'Carry it out although a guard stands against it: the plan\'s id, or its first 12 digits.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync apply" accept-open' -l 'accept-open' -d 'Change files that a process has open for writing, too.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync apply" read-limit' -l 'read-limit' -d 'Read no faster than this from the source.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync apply" write-limit' -l 'write-limit' -d 'Write no faster than this.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync apply" undo-dir' -l 'undo-dir' -d 'Of an image or device: make the undo file in this directory.' -rfa '(__resync_complete_directories)'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync apply" max-undo' -l 'max-undo' -d 'Keep no more than this for an undo, on each side; the rest of the plan waits.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync apply" release-undo' -l 'release-undo' -d 'Where there is no room for the whole plan at once: free for good what a slice of it displaced, once that was read back, and go on with the next.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync apply" workers' -l 'workers' -d 'Workers.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync apply" json' -l 'json' -d 'Print JSON Lines instead of text.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync apply" progress' -l 'progress' -d 'Progress on standard error.' -rfka 'auto json none'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync apply" io-timeout' -l 'io-timeout' -d 'A store that does not answer in this time is named, and the run ends.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync apply" state' -l 'state' -d 'Keep runs in this folder instead of /var/lib/resync (root) or $XDG_STATE_HOME/resync.' -rfa '(__resync_complete_directories)'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync apply" config' -l 'config' -d 'The configuration instead of /etc/resync/resync.yaml.' -rF
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync apply" version' -l 'version' -d 'Show the version.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync apply" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync confirm" release-undo' -l 'release-undo' -d 'Once all that is done agrees, free for good what it displaced; it stays then.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync confirm" json' -l 'json' -d 'Print JSON Lines instead of text.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync confirm" progress' -l 'progress' -d 'Progress on standard error.' -rfka 'auto json none'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync confirm" io-timeout' -l 'io-timeout' -d 'A store that does not answer in this time is named, and the run ends.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync confirm" state' -l 'state' -d 'Keep runs in this folder instead of /var/lib/resync (root) or $XDG_STATE_HOME/resync.' -rfa '(__resync_complete_directories)'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync confirm" version' -l 'version' -d 'Show the version.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync confirm" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync undo" json' -l 'json' -d 'Print JSON Lines instead of text.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync undo" progress' -l 'progress' -d 'Progress on standard error.' -rfka 'auto json none'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync undo" io-timeout' -l 'io-timeout' -d 'A store that does not answer in this time is named, and the run ends.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync undo" state' -l 'state' -d 'Keep runs in this folder instead of /var/lib/resync (root) or $XDG_STATE_HOME/resync.' -rfa '(__resync_complete_directories)'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync undo" version' -l 'version' -d 'Show the version.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync undo" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync quarantine" version' -l 'version' -d 'Show the version.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync quarantine" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'resync' -n '__resync_should_offer_completions_for_positional "resync quarantine" -eq 1' -fa 'list' -d 'List what is kept, and of which run.'
complete -c 'resync' -n '__resync_should_offer_completions_for_positional "resync quarantine" -eq 1' -fa 'copy' -d 'Copy what a run put aside of an image into a directory.'
complete -c 'resync' -n '__resync_should_offer_completions_for_positional "resync quarantine" -eq 1' -fa 'purge' -d 'Free what confirmed runs keep; they can then no longer be taken back.'
complete -c 'resync' -n '__resync_should_offer_completions_for_positional "resync quarantine" -eq 1' -fa 'erase' -d 'Free what is kept of one path, in every run, and record it.'
complete -c 'resync' -n '__resync_should_offer_completions_for_positional "resync quarantine list" -ge 1' -fa '(__resync_complete_directories)'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync quarantine list" state' -l 'state' -d 'Keep runs in this folder instead of /var/lib/resync (root) or $XDG_STATE_HOME/resync.' -rfa '(__resync_complete_directories)'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync quarantine list" version' -l 'version' -d 'Show the version.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync quarantine list" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'resync' -n '__resync_should_offer_completions_for_positional "resync quarantine copy" -eq 1' -fa '(__resync_complete_directories)'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync quarantine copy" state' -l 'state' -d 'Keep runs in this folder instead of /var/lib/resync (root) or $XDG_STATE_HOME/resync.' -rfa '(__resync_complete_directories)'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync quarantine copy" version' -l 'version' -d 'Show the version.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync quarantine copy" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync quarantine purge" older-than' -l 'older-than' -d 'How long ago a run was confirmed.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync quarantine purge" state' -l 'state' -d 'Keep runs in this folder instead of /var/lib/resync (root) or $XDG_STATE_HOME/resync.' -rfa '(__resync_complete_directories)'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync quarantine purge" version' -l 'version' -d 'Show the version.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync quarantine purge" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync quarantine erase" run' -l 'run' -d 'Only what this run keeps.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync quarantine erase" state' -l 'state' -d 'Keep runs in this folder instead of /var/lib/resync (root) or $XDG_STATE_HOME/resync.' -rfa '(__resync_complete_directories)'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync quarantine erase" version' -l 'version' -d 'Show the version.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync quarantine erase" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync decide" accept' -l 'accept' -d 'This side\'s copy is right.' -rfka 'a b'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync decide" open' -l 'open' -d 'It is to be decided anew.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync decide" reason' -l 'reason' -d 'Why.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync decide" module' -l 'module' -d 'All that differs in this module of the configuration.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync decide" state' -l 'state' -d 'Keep runs in this folder instead of /var/lib/resync (root) or $XDG_STATE_HOME/resync.' -rfa '(__resync_complete_directories)'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync decide" config' -l 'config' -d 'The configuration instead of /etc/resync/resync.yaml.' -rF
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
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync runs list" state' -l 'state' -d 'Keep runs in this folder instead of /var/lib/resync (root) or $XDG_STATE_HOME/resync.' -rfa '(__resync_complete_directories)'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync runs list" version' -l 'version' -d 'Show the version.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync runs list" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync runs show" json' -l 'json' -d 'Print JSON Lines instead of text.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync runs show" state' -l 'state' -d 'Keep runs in this folder instead of /var/lib/resync (root) or $XDG_STATE_HOME/resync.' -rfa '(__resync_complete_directories)'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync runs show" version' -l 'version' -d 'Show the version.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync runs show" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync runs resume" state' -l 'state' -d 'Keep runs in this folder instead of /var/lib/resync (root) or $XDG_STATE_HOME/resync.' -rfa '(__resync_complete_directories)'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync runs resume" version' -l 'version' -d 'Show the version.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync runs resume" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync runs pause" state' -l 'state' -d 'Keep runs in this folder instead of /var/lib/resync (root) or $XDG_STATE_HOME/resync.' -rfa '(__resync_complete_directories)'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync runs pause" version' -l 'version' -d 'Show the version.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync runs pause" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync runs limit" read-limit' -l 'read-limit' -d 'Read no faster than this from each side; none for any rate.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync runs limit" write-limit' -l 'write-limit' -d 'Write no faster than this; none for any rate.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync runs limit" state' -l 'state' -d 'Keep runs in this folder instead of /var/lib/resync (root) or $XDG_STATE_HOME/resync.' -rfa '(__resync_complete_directories)'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync runs limit" version' -l 'version' -d 'Show the version.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync runs limit" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync runs delete" state' -l 'state' -d 'Keep runs in this folder instead of /var/lib/resync (root) or $XDG_STATE_HOME/resync.' -rfa '(__resync_complete_directories)'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync runs delete" version' -l 'version' -d 'Show the version.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync runs delete" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync store" version' -l 'version' -d 'Show the version.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync store" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'resync' -n '__resync_should_offer_completions_for_positional "resync store" -eq 1' -fa 'show' -d 'Print what a store\'s marker says.'
complete -c 'resync' -n '__resync_should_offer_completions_for_positional "resync store" -eq 1' -fa 'adopt' -d 'Take a store that has no marker, or one that was made elsewhere.'
complete -c 'resync' -n '__resync_should_offer_completions_for_positional "resync store show" -eq 1' -F
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync store show" io-timeout' -l 'io-timeout' -d 'A store that does not answer in this time is named, and the run ends.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync store show" version' -l 'version' -d 'Show the version.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync store show" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'resync' -n '__resync_should_offer_completions_for_positional "resync store adopt" -eq 1' -F
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync store adopt" force' -l 'force' -d 'Take it although a run left it changed in part: that run is given up.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync store adopt" io-timeout' -l 'io-timeout' -d 'A store that does not answer in this time is named, and the run ends.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync store adopt" state' -l 'state' -d 'Keep runs in this folder instead of /var/lib/resync (root) or $XDG_STATE_HOME/resync.' -rfa '(__resync_complete_directories)'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync store adopt" version' -l 'version' -d 'Show the version.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync store adopt" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync watch" config' -l 'config' -d 'The configuration instead of /etc/resync/resync.yaml.' -rF
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync watch" state' -l 'state' -d 'Keep runs in this folder instead of /var/lib/resync (root) or $XDG_STATE_HOME/resync.' -rfa '(__resync_complete_directories)'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync watch" record' -l 'record' -d 'Write what the signals say to this new file.' -rF
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync watch" replay' -l 'replay' -d 'Watch nothing: print what the configured times make of a file of --record.' -rF
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync watch" no-verify' -l 'no-verify' -d 'Verify no modules after an episode: a person does.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync watch" version' -l 'version' -d 'Show the version.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync watch" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync status" json' -l 'json' -d 'Print JSON Lines instead of text.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync status" prometheus' -l 'prometheus' -d 'Print metrics for Prometheus\'s textfile collector.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync status" nagios' -l 'nagios' -d 'Print one line, and end with 0 to 3, as plug-ins of Nagios do.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync status" config' -l 'config' -d 'The configuration instead of /etc/resync/resync.yaml.' -rF
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync status" state' -l 'state' -d 'Keep runs in this folder instead of /var/lib/resync (root) or $XDG_STATE_HOME/resync.' -rfa '(__resync_complete_directories)'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync status" version' -l 'version' -d 'Show the version.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync status" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync gate" override' -l 'override' -d 'Open it all the same, for a time; needs --reason and --for.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync gate" reason' -l 'reason' -d 'Why it is opened all the same.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync gate" for' -l 'for' -d 'How long it is opened all the same.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync gate" json' -l 'json' -d 'Print JSON Lines instead of text.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync gate" config' -l 'config' -d 'The configuration instead of /etc/resync/resync.yaml.' -rF
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync gate" state' -l 'state' -d 'Keep runs in this folder instead of /var/lib/resync (root) or $XDG_STATE_HOME/resync.' -rfa '(__resync_complete_directories)'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync gate" version' -l 'version' -d 'Show the version.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync gate" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync nightly" config' -l 'config' -d 'The configuration instead of /etc/resync/resync.yaml.' -rF
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync nightly" state' -l 'state' -d 'Keep runs in this folder instead of /var/lib/resync (root) or $XDG_STATE_HOME/resync.' -rfa '(__resync_complete_directories)'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync nightly" version' -l 'version' -d 'Show the version.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync nightly" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync schedule" simulate' -l 'simulate' -d 'Say when each would be released if it began now.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync schedule" read-limit' -l 'read-limit' -d 'Estimate with this rate for each side instead of the pair\'s read-limit (as 200MiB/s).' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync schedule" all' -l 'all' -d 'Show those that are open, too.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync schedule" json' -l 'json' -d 'Print JSON Lines instead of text.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync schedule" config' -l 'config' -d 'The configuration instead of /etc/resync/resync.yaml.' -rF
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync schedule" state' -l 'state' -d 'Keep runs in this folder instead of /var/lib/resync (root) or $XDG_STATE_HOME/resync.' -rfa '(__resync_complete_directories)'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync schedule" version' -l 'version' -d 'Show the version.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync schedule" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'resync' -n '__resync_should_offer_completions_for_positional "resync bench" -eq 1' -F
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync bench" max-duration' -l 'max-duration' -d 'Take no longer than this.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync bench" json' -l 'json' -d 'Print JSON Lines instead of text.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync bench" progress' -l 'progress' -d 'Progress on standard error.' -rfka 'auto json none'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync bench"' -l 'exclude' -d 'Leave out what matches PATTERN, with rsync\'s pattern meaning.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync bench"' -l 'exclude-from' -d 'Read exclusions from FILE, one a line.' -rF
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync bench" files-from' -l 'files-from' -d 'Look only at the paths listed in FILE (- for standard input), not below them.' -rF
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync bench" from0' -l 'from0' -d 'The files of --exclude-from and --files-from separate names by NUL bytes.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync bench" cross-mounts' -l 'cross-mounts' -d 'Descend into other file systems mounted inside a store.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync bench" digest' -l 'digest' -d 'Digest blocks with gmac (not kept), sha256 or sha512-256.' -rfka 'gmac sha256 sha512-256'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync bench" block-size' -l 'block-size' -d 'Bytes of a block, 64KiB to 16MiB.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync bench" workers' -l 'workers' -d 'Workers; by default they follow the storage.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync bench" read-limit' -l 'read-limit' -d 'Read no faster than this from each side (as 200MiB/s).' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync bench" io-timeout' -l 'io-timeout' -d 'A read that is not answered in this time counts as stalled.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync bench" state' -l 'state' -d 'Keep runs in this folder instead of /var/lib/resync (root) or $XDG_STATE_HOME/resync.' -rfa '(__resync_complete_directories)'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync bench" version' -l 'version' -d 'Show the version.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync bench" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync episode" version' -l 'version' -d 'Show the version.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync episode" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'resync' -n '__resync_should_offer_completions_for_positional "resync episode" -eq 1' -fa 'list' -d 'List the episodes of the last 30 days, and all that are open.'
complete -c 'resync' -n '__resync_should_offer_completions_for_positional "resync episode" -eq 1' -fa 'show' -d 'Print an episode, or an incident, with all that is known of it.'
complete -c 'resync' -n '__resync_should_offer_completions_for_positional "resync episode" -eq 1' -fa 'open' -d 'Say that a store was, or is, not to be trusted.'
complete -c 'resync' -n '__resync_should_offer_completions_for_positional "resync episode" -eq 1' -fa 'close' -d 'Say that an episode is over, though nothing has proved it.'
complete -c 'resync' -n '__resync_should_offer_completions_for_positional "resync episode" -eq 1' -fa 'import' -d 'Find episodes in the kernel log of a machine where nothing was watching.'
complete -c 'resync' -n '__resync_should_offer_completions_for_positional "resync episode" -eq 1' -fa 'maintenance' -d 'Announce work on a store, which then opens no episode.'
complete -c 'resync' -n '__resync_should_offer_completions_for_positional "resync episode" -eq 1' -fa 'accept' -d 'Accept the errors that a store\'s file system counts.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync episode list" since' -l 'since' -d 'Those of so long, as 7d, instead.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync episode list" json' -l 'json' -d 'Print JSON Lines instead of text.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync episode list" state' -l 'state' -d 'Keep runs in this folder instead of /var/lib/resync (root) or $XDG_STATE_HOME/resync.' -rfa '(__resync_complete_directories)'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync episode list" version' -l 'version' -d 'Show the version.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync episode list" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync episode show" json' -l 'json' -d 'Print JSON Lines instead of text.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync episode show" state' -l 'state' -d 'Keep runs in this folder instead of /var/lib/resync (root) or $XDG_STATE_HOME/resync.' -rfa '(__resync_complete_directories)'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync episode show" version' -l 'version' -d 'Show the version.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync episode show" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync episode open" from' -l 'from' -d 'When it began.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync episode open" to' -l 'to' -d 'When it was over.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync episode open" class' -l 'class' -d 'What was wrong: read-only, io-error, stall, gone, lost-write and others.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync episode open" note' -l 'note' -d 'Why.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync episode open" config' -l 'config' -d 'The configuration instead of /etc/resync/resync.yaml.' -rF
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync episode open" state' -l 'state' -d 'Keep runs in this folder instead of /var/lib/resync (root) or $XDG_STATE_HOME/resync.' -rfa '(__resync_complete_directories)'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync episode open" version' -l 'version' -d 'Show the version.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync episode open" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync episode close" note' -l 'note' -d 'Why.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync episode close" state' -l 'state' -d 'Keep runs in this folder instead of /var/lib/resync (root) or $XDG_STATE_HOME/resync.' -rfa '(__resync_complete_directories)'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync episode close" version' -l 'version' -d 'Show the version.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync episode close" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync episode import" journal' -l 'journal' -d 'The kernel log, as text.' -rF
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync episode import" store' -l 'store' -d 'The store it was about, as mail/a.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync episode import"' -l 'device' -d 'What the store was on, as the log names it: sdf, dm-3, 2:0:0:1, session3, connection3:0, a server. Repeatable.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync episode import" good' -l 'good' -d 'The store was good then.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync episode import" to' -l 'to' -d 'It was good again then.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync episode import" boot' -l 'boot' -d 'When the machine was booted, for dmesg.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync episode import" zone' -l 'zone' -d 'In which zone the log was written, where its times have none: Z, +01:00; this machine\'s, where nothing is said.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync episode import" dry-run' -l 'dry-run' -d 'Only print what would be recorded.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync episode import" config' -l 'config' -d 'The configuration instead of /etc/resync/resync.yaml.' -rF
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync episode import" state' -l 'state' -d 'Keep runs in this folder instead of /var/lib/resync (root) or $XDG_STATE_HOME/resync.' -rfa '(__resync_complete_directories)'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync episode import" version' -l 'version' -d 'Show the version.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync episode import" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync episode maintenance" for' -l 'for' -d 'How long, as 1h; 0 ends it.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync episode maintenance" state' -l 'state' -d 'Keep runs in this folder instead of /var/lib/resync (root) or $XDG_STATE_HOME/resync.' -rfa '(__resync_complete_directories)'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync episode maintenance" version' -l 'version' -d 'Show the version.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync episode maintenance" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync episode accept" note' -l 'note' -d 'Why.' -rfka ''
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync episode accept" state' -l 'state' -d 'Keep runs in this folder instead of /var/lib/resync (root) or $XDG_STATE_HOME/resync.' -rfa '(__resync_complete_directories)'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync episode accept" version' -l 'version' -d 'Show the version.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync episode accept" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync config" version' -l 'version' -d 'Show the version.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync config" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'resync' -n '__resync_should_offer_completions_for_positional "resync config" -eq 1' -fa 'check' -d 'Say what a configuration means, and everything that is wrong with it.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync config check" config' -l 'config' -d 'The configuration instead of /etc/resync/resync.yaml.' -rF
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync config check" version' -l 'version' -d 'Show the version.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync config check" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync demo" version' -l 'version' -d 'Show the version.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync demo" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'resync' -n '__resync_should_offer_completions_for_flags_or_options "resync help" version' -l 'version' -d 'Show the version.'
