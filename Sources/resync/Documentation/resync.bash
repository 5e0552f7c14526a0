#!/bin/bash

__resync_cursor_index_in_current_word() {
    local remaining="${COMP_LINE}"

    local word
    for word in "${COMP_WORDS[@]::COMP_CWORD}"; do
        remaining="${remaining##*([[:space:]])"${word}"*([[:space:]])}"
    done

    local -ir index="$((COMP_POINT - ${#COMP_LINE} + ${#remaining}))"
    if [[ "${index}" -le 0 ]]; then
        printf 0
    else
        printf %s "${index}"
    fi
}

# positional arguments:
#
# - 1: the current (sub)command's count of positional arguments
#
# required variables:
#
# - repeating_flags: the repeating flags that the current (sub)command can accept
# - non_repeating_flags: the non-repeating flags that the current (sub)command can accept
# - repeating_options: the repeating options that the current (sub)command can accept
# - non_repeating_options: the non-repeating options that the current (sub)command can accept
# - positional_number: value ignored
# - unparsed_words: unparsed words from the current command line
#
# modified variables:
#
# - non_repeating_flags: remove flags for this (sub)command that are already on the command line
# - non_repeating_options: remove options for this (sub)command that are already on the command line
# - positional_number: set to the current positional number
# - unparsed_words: remove all flags, options, and option values for this (sub)command
__resync_offer_flags_options() {
    local -ir positional_count="${1}"
    positional_number=0

    local was_flag_option_terminator_seen=false
    local is_parsing_option_value=false

    local -ar unparsed_word_indices=("${!unparsed_words[@]}")
    local -i word_index
    for word_index in "${unparsed_word_indices[@]}"; do
        if "${is_parsing_option_value}"; then
            # This word is an option value:
            # Reset marker for next word iff not currently the last word
            [[ "${word_index}" -ne "${unparsed_word_indices[${#unparsed_word_indices[@]} - 1]}" ]] && is_parsing_option_value=false
            unset "unparsed_words[${word_index}]"
            # Do not process this word as a flag or an option
            continue
        fi

        local word="${unparsed_words["${word_index}"]}"
        if ! "${was_flag_option_terminator_seen}"; then
            case "${word}" in
            --)
                unset "unparsed_words[${word_index}]"
                # by itself -- is a flag/option terminator, but if it is the last word, it is the start of a completion
                if [[ "${word_index}" -ne "${unparsed_word_indices[${#unparsed_word_indices[@]} - 1]}" ]]; then
                    was_flag_option_terminator_seen=true
                fi
                continue
                ;;
            -*)
                # ${word} is a flag or an option
                # If ${word} is an option, mark that the next word to be parsed is an option value
                local option
                for option in "${repeating_options[@]}" "${non_repeating_options[@]}"; do
                    [[ "${word}" = "${option}" ]] && is_parsing_option_value=true && break
                done

                # Remove ${word} from ${non_repeating_flags} or ${non_repeating_options} so it isn't offered again
                local not_found=true
                local -i index
                for index in "${!non_repeating_flags[@]}"; do
                    if [[ "${non_repeating_flags[${index}]}" = "${word}" ]]; then
                        unset "non_repeating_flags[${index}]"
                        non_repeating_flags=("${non_repeating_flags[@]}")
                        not_found=false
                        break
                    fi
                done
                if "${not_found}"; then
                    for index in "${!non_repeating_flags[@]}"; do
                        if [[ "${non_repeating_flags[${index}]}" = "${word}" ]]; then
                            unset "non_repeating_flags[${index}]"
                            non_repeating_flags=("${non_repeating_flags[@]}")
                            break
                        fi
                    done
                fi
                unset "unparsed_words[${word_index}]"
                continue
                ;;
            esac
        fi

        # ${word} is neither a flag, nor an option, nor an option value
        if [[ "${positional_number}" -lt "${positional_count}" || "${positional_count}" -lt 0 ]]; then
            # ${word} is a positional
            ((positional_number++))
            unset "unparsed_words[${word_index}]"
        else
            if [[ -z "${word}" ]]; then
                # Could be completing a flag, option, or subcommand
                positional_number=-1
            else
                # ${word} is a subcommand or invalid, so stop processing this (sub)command
                positional_number=-2
            fi
            break
        fi
    done

    unparsed_words=("${unparsed_words[@]}")

    if\
        ! "${was_flag_option_terminator_seen}"\
        && ! "${is_parsing_option_value}"\
        && [[ ("${cur}" = -* && "${positional_number}" -ge 0) || "${positional_number}" -eq -1 ]]
    then
        COMPREPLY+=($(compgen -W "${repeating_flags[*]} ${non_repeating_flags[*]} ${repeating_options[*]} ${non_repeating_options[*]}" -- "${cur}"))
    fi
}

__resync_add_completions() {
    local completion
    while IFS='' read -r completion; do
        COMPREPLY+=("${completion}")
    done < <(IFS=$'\n' compgen "${@}" -- "${cur}")
}

__resync_custom_complete() {
    if [[ -n "${cur}" || -z ${COMP_WORDS[${COMP_CWORD}]} || "${COMP_LINE:${COMP_POINT}:1}" != ' ' ]]; then
        local -ar words=("${COMP_WORDS[@]}")
    else
        local -ar words=("${COMP_WORDS[@]::${COMP_CWORD}}" '' "${COMP_WORDS[@]:${COMP_CWORD}}")
    fi

    "${COMP_WORDS[0]}" "${@}" "${words[@]}"
}

_resync() {
    local state
    state="$(shopt -p;shopt -po)"
    trap "${state//$'\n'/;}" RETURN
    shopt -s extglob
    set +o history +o posix

    local -xr SAP_SHELL=bash
    local -x SAP_SHELL_VERSION
    SAP_SHELL_VERSION="$(IFS='.';printf %s "${BASH_VERSINFO[*]}")"
    local -r SAP_SHELL_VERSION

    local -r cur="${2}"
    local -r prev="${3}"

    local -i positional_number
    local -a unparsed_words=("${COMP_WORDS[@]:1:${COMP_CWORD}}")

    local -a repeating_flags=()
    local -a non_repeating_flags=(--version -h --help)
    local -a repeating_options=()
    local -a non_repeating_options=()
    __resync_offer_flags_options 0

    # Offer subcommand / subcommand argument completions
    local -r subcommand="${unparsed_words[0]}"
    unset 'unparsed_words[0]'
    unparsed_words=("${unparsed_words[@]}")
    case "${subcommand}" in
    verify|scan|diff|manifest|plan|apply|confirm|undo|quarantine|decide|runs|store|watch|status|gate|nightly|schedule|bench|episode|config|demo|help)
        # Offer subcommand argument completions
        "_resync_${subcommand}"
        ;;
    *)
        # Offer subcommand completions
        COMPREPLY+=($(compgen -W 'verify scan diff manifest plan apply confirm undo quarantine decide runs store watch status gate nightly schedule bench episode config demo help' -- "${cur}"))
        ;;
    esac
}

_resync_verify() {
    repeating_flags=()
    non_repeating_flags=(--keep --from0 --cross-mounts -0 --null --force --json -q --quiet --version -h --help)
    repeating_options=(--since --exclude --exclude-from --with --without)
    non_repeating_options=(--module --only --against --assurance --suspect --files-from --modify-window --owner-by --digest --block-size --workers --read-limit --io-timeout --confirm --settle --max-duration --ramp --combined --differ --missing-on-a --missing-on-src --missing-on-b --missing-on-dst --error --progress --state --config)
    __resync_offer_flags_options 2

    # Offer option value completions
    case "${prev}" in
    '--module')
        return
        ;;
    '--only')
        return
        ;;
    '--against')
        return
        ;;
    '--assurance')
        __resync_add_completions -W 'media'$'\n''hash'$'\n''cached'$'\n''metadata'$'\n''size'
        return
        ;;
    '--since')
        __resync_add_completions -f
        return
        ;;
    '--suspect')
        return
        ;;
    '--exclude')
        return
        ;;
    '--exclude-from')
        __resync_add_completions -f
        return
        ;;
    '--files-from')
        __resync_add_completions -f
        return
        ;;
    '--with')
        return
        ;;
    '--without')
        return
        ;;
    '--modify-window')
        return
        ;;
    '--owner-by')
        __resync_add_completions -W 'number'$'\n''name'
        return
        ;;
    '--digest')
        __resync_add_completions -W 'gmac'$'\n''sha256'$'\n''sha512-256'
        return
        ;;
    '--block-size')
        return
        ;;
    '--workers')
        return
        ;;
    '--read-limit')
        return
        ;;
    '--io-timeout')
        return
        ;;
    '--confirm')
        return
        ;;
    '--settle')
        return
        ;;
    '--max-duration')
        return
        ;;
    '--ramp')
        return
        ;;
    '--combined')
        __resync_add_completions -f
        return
        ;;
    '--differ')
        __resync_add_completions -f
        return
        ;;
    '--missing-on-a'|'--missing-on-src')
        __resync_add_completions -f
        return
        ;;
    '--missing-on-b'|'--missing-on-dst')
        __resync_add_completions -f
        return
        ;;
    '--error')
        __resync_add_completions -f
        return
        ;;
    '--progress')
        __resync_add_completions -W 'auto'$'\n''json'$'\n''none'
        return
        ;;
    '--state')
        __resync_add_completions -d
        return
        ;;
    '--config')
        __resync_add_completions -f
        return
        ;;
    esac

    # Offer positional completions
    case "${positional_number}" in
    1)
        __resync_add_completions -f
        return
        ;;
    2)
        __resync_add_completions -f
        return
        ;;
    esac
}

_resync_scan() {
    repeating_flags=()
    non_repeating_flags=(--whole-file --force -q --quiet --from0 --cross-mounts --version -h --help)
    repeating_options=(--exclude --exclude-from --with --without)
    non_repeating_options=(--output -o --assurance --max-duration --progress --files-from --modify-window --owner-by --digest --block-size --workers --read-limit --io-timeout --state)
    __resync_offer_flags_options 1

    # Offer option value completions
    case "${prev}" in
    '--output'|'-o')
        __resync_add_completions -f
        return
        ;;
    '--assurance')
        __resync_add_completions -W 'media'$'\n''hash'$'\n''cached'$'\n''metadata'$'\n''size'
        return
        ;;
    '--max-duration')
        return
        ;;
    '--progress')
        __resync_add_completions -W 'auto'$'\n''json'$'\n''none'
        return
        ;;
    '--exclude')
        return
        ;;
    '--exclude-from')
        __resync_add_completions -f
        return
        ;;
    '--files-from')
        __resync_add_completions -f
        return
        ;;
    '--with')
        return
        ;;
    '--without')
        return
        ;;
    '--modify-window')
        return
        ;;
    '--owner-by')
        __resync_add_completions -W 'number'$'\n''name'
        return
        ;;
    '--digest')
        __resync_add_completions -W 'gmac'$'\n''sha256'$'\n''sha512-256'
        return
        ;;
    '--block-size')
        return
        ;;
    '--workers')
        return
        ;;
    '--read-limit')
        return
        ;;
    '--io-timeout')
        return
        ;;
    '--state')
        __resync_add_completions -d
        return
        ;;
    esac

    # Offer positional completions
    case "${positional_number}" in
    1)
        __resync_add_completions -f
        return
        ;;
    esac
}

_resync_diff() {
    repeating_flags=()
    non_repeating_flags=(--json -q --quiet --version -h --help)
    repeating_options=()
    non_repeating_options=(--modify-window --io-timeout)
    __resync_offer_flags_options 2

    # Offer option value completions
    case "${prev}" in
    '--modify-window')
        return
        ;;
    '--io-timeout')
        return
        ;;
    esac

    # Offer positional completions
    case "${positional_number}" in
    1)
        __resync_add_completions -f
        return
        ;;
    2)
        __resync_add_completions -f
        return
        ;;
    esac
}

_resync_manifest() {
    repeating_flags=()
    non_repeating_flags=(--version -h --help)
    repeating_options=()
    non_repeating_options=()
    __resync_offer_flags_options 0

    # Offer subcommand / subcommand argument completions
    local -r subcommand="${unparsed_words[0]}"
    unset 'unparsed_words[0]'
    unparsed_words=("${unparsed_words[@]}")
    case "${subcommand}" in
    show|check|export|import)
        # Offer subcommand argument completions
        "_resync_manifest_${subcommand}"
        ;;
    *)
        # Offer subcommand completions
        COMPREPLY+=($(compgen -W 'show check export import' -- "${cur}"))
        ;;
    esac
}

_resync_manifest_show() {
    repeating_flags=()
    non_repeating_flags=(--json --version -h --help)
    repeating_options=()
    non_repeating_options=(--io-timeout)
    __resync_offer_flags_options 1

    # Offer option value completions
    case "${prev}" in
    '--io-timeout')
        return
        ;;
    esac

    # Offer positional completions
    case "${positional_number}" in
    1)
        __resync_add_completions -f
        return
        ;;
    esac
}

_resync_manifest_check() {
    repeating_flags=()
    non_repeating_flags=(--version -h --help)
    repeating_options=()
    non_repeating_options=(--io-timeout)
    __resync_offer_flags_options 1

    # Offer option value completions
    case "${prev}" in
    '--io-timeout')
        return
        ;;
    esac

    # Offer positional completions
    case "${positional_number}" in
    1)
        __resync_add_completions -f
        return
        ;;
    esac
}

_resync_manifest_export() {
    repeating_flags=()
    non_repeating_flags=(--force --version -h --help)
    repeating_options=()
    non_repeating_options=(--format --output -o --io-timeout)
    __resync_offer_flags_options 1

    # Offer option value completions
    case "${prev}" in
    '--format')
        return
        ;;
    '--output'|'-o')
        __resync_add_completions -f
        return
        ;;
    '--io-timeout')
        return
        ;;
    esac

    # Offer positional completions
    case "${positional_number}" in
    1)
        __resync_add_completions -f
        return
        ;;
    esac
}

_resync_manifest_import() {
    repeating_flags=()
    non_repeating_flags=(--force --version -h --help)
    repeating_options=()
    non_repeating_options=(--output -o --prefix)
    __resync_offer_flags_options 1

    # Offer option value completions
    case "${prev}" in
    '--output'|'-o')
        __resync_add_completions -f
        return
        ;;
    '--prefix')
        __resync_add_completions -d
        return
        ;;
    esac

    # Offer positional completions
    case "${positional_number}" in
    1)
        __resync_add_completions -f
        return
        ;;
    esac
}

_resync_plan() {
    repeating_flags=()
    non_repeating_flags=(--version -h --help)
    repeating_options=()
    non_repeating_options=()
    __resync_offer_flags_options 0

    # Offer subcommand / subcommand argument completions
    local -r subcommand="${unparsed_words[0]}"
    unset 'unparsed_words[0]'
    unparsed_words=("${unparsed_words[@]}")
    case "${subcommand}" in
    make|show)
        # Offer subcommand argument completions
        "_resync_plan_${subcommand}"
        ;;
    *)
        # Offer subcommand completions
        COMPREPLY+=($(compgen -W 'make show' -- "${cur}"))
        ;;
    esac
}

_resync_plan_make() {
    repeating_flags=()
    non_repeating_flags=(--accept-deletions --specials --force --json --from0 --cross-mounts --version -h --help)
    repeating_options=(--path --module --exclude --exclude-from --with --without)
    non_repeating_options=(--authority --output -o --conflict-resolve --progress --io-timeout --files-from --modify-window --owner-by --state --config)
    __resync_offer_flags_options -1

    # Offer option value completions
    case "${prev}" in
    '--authority')
        __resync_add_completions -W 'a'$'\n''b'$'\n''baseline'$'\n''union'
        return
        ;;
    '--output'|'-o')
        __resync_add_completions -f
        return
        ;;
    '--conflict-resolve')
        __resync_add_completions -W 'a'$'\n''b'$'\n''newer'$'\n''larger'
        return
        ;;
    '--path')
        return
        ;;
    '--module')
        return
        ;;
    '--progress')
        __resync_add_completions -W 'auto'$'\n''json'$'\n''none'
        return
        ;;
    '--io-timeout')
        return
        ;;
    '--exclude')
        return
        ;;
    '--exclude-from')
        __resync_add_completions -f
        return
        ;;
    '--files-from')
        __resync_add_completions -f
        return
        ;;
    '--with')
        return
        ;;
    '--without')
        return
        ;;
    '--modify-window')
        return
        ;;
    '--owner-by')
        __resync_add_completions -W 'number'$'\n''name'
        return
        ;;
    '--state')
        __resync_add_completions -d
        return
        ;;
    '--config')
        __resync_add_completions -f
        return
        ;;
    esac

    # Offer positional completions
    case "${positional_number}" in
    *)
        __resync_add_completions -f
        return
        ;;
    esac
}

_resync_plan_show() {
    repeating_flags=()
    non_repeating_flags=(--json --version -h --help)
    repeating_options=()
    non_repeating_options=(--io-timeout)
    __resync_offer_flags_options 1

    # Offer option value completions
    case "${prev}" in
    '--io-timeout')
        return
        ;;
    esac

    # Offer positional completions
    case "${positional_number}" in
    1)
        __resync_add_completions -f
        return
        ;;
    esac
}

_resync_apply() {
    repeating_flags=()
    non_repeating_flags=(--accept-open --release-undo --json --version -h --help)
    repeating_options=()
    non_repeating_options=(--accept --read-limit --write-limit --undo-dir --max-undo --workers --progress --io-timeout --state --config)
    __resync_offer_flags_options 1

    # Offer option value completions
    case "${prev}" in
    '--accept')
        return
        ;;
    '--read-limit')
        return
        ;;
    '--write-limit')
        return
        ;;
    '--undo-dir')
        __resync_add_completions -d
        return
        ;;
    '--max-undo')
        return
        ;;
    '--workers')
        return
        ;;
    '--progress')
        __resync_add_completions -W 'auto'$'\n''json'$'\n''none'
        return
        ;;
    '--io-timeout')
        return
        ;;
    '--state')
        __resync_add_completions -d
        return
        ;;
    '--config')
        __resync_add_completions -f
        return
        ;;
    esac

    # Offer positional completions
    case "${positional_number}" in
    1)
        __resync_add_completions -f
        return
        ;;
    esac
}

_resync_confirm() {
    repeating_flags=()
    non_repeating_flags=(--release-undo --json --version -h --help)
    repeating_options=()
    non_repeating_options=(--progress --io-timeout --state)
    __resync_offer_flags_options 1

    # Offer option value completions
    case "${prev}" in
    '--progress')
        __resync_add_completions -W 'auto'$'\n''json'$'\n''none'
        return
        ;;
    '--io-timeout')
        return
        ;;
    '--state')
        __resync_add_completions -d
        return
        ;;
    esac
}

_resync_undo() {
    repeating_flags=()
    non_repeating_flags=(--json --version -h --help)
    repeating_options=()
    non_repeating_options=(--progress --io-timeout --state)
    __resync_offer_flags_options 1

    # Offer option value completions
    case "${prev}" in
    '--progress')
        __resync_add_completions -W 'auto'$'\n''json'$'\n''none'
        return
        ;;
    '--io-timeout')
        return
        ;;
    '--state')
        __resync_add_completions -d
        return
        ;;
    esac
}

_resync_quarantine() {
    repeating_flags=()
    non_repeating_flags=(--version -h --help)
    repeating_options=()
    non_repeating_options=()
    __resync_offer_flags_options 0

    # Offer subcommand / subcommand argument completions
    local -r subcommand="${unparsed_words[0]}"
    unset 'unparsed_words[0]'
    unparsed_words=("${unparsed_words[@]}")
    case "${subcommand}" in
    list|copy|purge|erase)
        # Offer subcommand argument completions
        "_resync_quarantine_${subcommand}"
        ;;
    *)
        # Offer subcommand completions
        COMPREPLY+=($(compgen -W 'list copy purge erase' -- "${cur}"))
        ;;
    esac
}

_resync_quarantine_list() {
    repeating_flags=()
    non_repeating_flags=(--version -h --help)
    repeating_options=()
    non_repeating_options=(--state)
    __resync_offer_flags_options -1

    # Offer option value completions
    case "${prev}" in
    '--state')
        __resync_add_completions -d
        return
        ;;
    esac

    # Offer positional completions
    case "${positional_number}" in
    *)
        __resync_add_completions -d
        return
        ;;
    esac
}

_resync_quarantine_copy() {
    repeating_flags=()
    non_repeating_flags=(--version -h --help)
    repeating_options=()
    non_repeating_options=(--state)
    __resync_offer_flags_options 2

    # Offer option value completions
    case "${prev}" in
    '--state')
        __resync_add_completions -d
        return
        ;;
    esac

    # Offer positional completions
    case "${positional_number}" in
    2)
        __resync_add_completions -d
        return
        ;;
    esac
}

_resync_quarantine_purge() {
    repeating_flags=()
    non_repeating_flags=(--version -h --help)
    repeating_options=()
    non_repeating_options=(--older-than --state)
    __resync_offer_flags_options -1

    # Offer option value completions
    case "${prev}" in
    '--older-than')
        return
        ;;
    '--state')
        __resync_add_completions -d
        return
        ;;
    esac
}

_resync_quarantine_erase() {
    repeating_flags=()
    non_repeating_flags=(--version -h --help)
    repeating_options=()
    non_repeating_options=(--run --state)
    __resync_offer_flags_options 1

    # Offer option value completions
    case "${prev}" in
    '--run')
        return
        ;;
    '--state')
        __resync_add_completions -d
        return
        ;;
    esac
}

_resync_decide() {
    repeating_flags=()
    non_repeating_flags=(--open --version -h --help)
    repeating_options=()
    non_repeating_options=(--accept --reason --module --state --config)
    __resync_offer_flags_options 2

    # Offer option value completions
    case "${prev}" in
    '--accept')
        __resync_add_completions -W 'a'$'\n''b'
        return
        ;;
    '--reason')
        return
        ;;
    '--module')
        return
        ;;
    '--state')
        __resync_add_completions -d
        return
        ;;
    '--config')
        __resync_add_completions -f
        return
        ;;
    esac
}

_resync_runs() {
    repeating_flags=()
    non_repeating_flags=(--version -h --help)
    repeating_options=()
    non_repeating_options=()
    __resync_offer_flags_options 0

    # Offer subcommand / subcommand argument completions
    local -r subcommand="${unparsed_words[0]}"
    unset 'unparsed_words[0]'
    unparsed_words=("${unparsed_words[@]}")
    case "${subcommand}" in
    list|show|resume|pause|limit|delete)
        # Offer subcommand argument completions
        "_resync_runs_${subcommand}"
        ;;
    *)
        # Offer subcommand completions
        COMPREPLY+=($(compgen -W 'list show resume pause limit delete' -- "${cur}"))
        ;;
    esac
}

_resync_runs_list() {
    repeating_flags=()
    non_repeating_flags=(--version -h --help)
    repeating_options=()
    non_repeating_options=(--state)
    __resync_offer_flags_options 0

    # Offer option value completions
    case "${prev}" in
    '--state')
        __resync_add_completions -d
        return
        ;;
    esac
}

_resync_runs_show() {
    repeating_flags=()
    non_repeating_flags=(--json --version -h --help)
    repeating_options=()
    non_repeating_options=(--state)
    __resync_offer_flags_options 1

    # Offer option value completions
    case "${prev}" in
    '--state')
        __resync_add_completions -d
        return
        ;;
    esac
}

_resync_runs_resume() {
    repeating_flags=()
    non_repeating_flags=(--version -h --help)
    repeating_options=()
    non_repeating_options=(--state)
    __resync_offer_flags_options 1

    # Offer option value completions
    case "${prev}" in
    '--state')
        __resync_add_completions -d
        return
        ;;
    esac
}

_resync_runs_pause() {
    repeating_flags=()
    non_repeating_flags=(--version -h --help)
    repeating_options=()
    non_repeating_options=(--state)
    __resync_offer_flags_options 1

    # Offer option value completions
    case "${prev}" in
    '--state')
        __resync_add_completions -d
        return
        ;;
    esac
}

_resync_runs_limit() {
    repeating_flags=()
    non_repeating_flags=(--version -h --help)
    repeating_options=()
    non_repeating_options=(--read-limit --write-limit --state)
    __resync_offer_flags_options 1

    # Offer option value completions
    case "${prev}" in
    '--read-limit')
        return
        ;;
    '--write-limit')
        return
        ;;
    '--state')
        __resync_add_completions -d
        return
        ;;
    esac
}

_resync_runs_delete() {
    repeating_flags=()
    non_repeating_flags=(--version -h --help)
    repeating_options=()
    non_repeating_options=(--state)
    __resync_offer_flags_options -1

    # Offer option value completions
    case "${prev}" in
    '--state')
        __resync_add_completions -d
        return
        ;;
    esac
}

_resync_store() {
    repeating_flags=()
    non_repeating_flags=(--version -h --help)
    repeating_options=()
    non_repeating_options=()
    __resync_offer_flags_options 0

    # Offer subcommand / subcommand argument completions
    local -r subcommand="${unparsed_words[0]}"
    unset 'unparsed_words[0]'
    unparsed_words=("${unparsed_words[@]}")
    case "${subcommand}" in
    show|adopt)
        # Offer subcommand argument completions
        "_resync_store_${subcommand}"
        ;;
    *)
        # Offer subcommand completions
        COMPREPLY+=($(compgen -W 'show adopt' -- "${cur}"))
        ;;
    esac
}

_resync_store_show() {
    repeating_flags=()
    non_repeating_flags=(--version -h --help)
    repeating_options=()
    non_repeating_options=(--io-timeout)
    __resync_offer_flags_options 1

    # Offer option value completions
    case "${prev}" in
    '--io-timeout')
        return
        ;;
    esac

    # Offer positional completions
    case "${positional_number}" in
    1)
        __resync_add_completions -f
        return
        ;;
    esac
}

_resync_store_adopt() {
    repeating_flags=()
    non_repeating_flags=(--force --version -h --help)
    repeating_options=()
    non_repeating_options=(--io-timeout --state)
    __resync_offer_flags_options 1

    # Offer option value completions
    case "${prev}" in
    '--io-timeout')
        return
        ;;
    '--state')
        __resync_add_completions -d
        return
        ;;
    esac

    # Offer positional completions
    case "${positional_number}" in
    1)
        __resync_add_completions -f
        return
        ;;
    esac
}

_resync_watch() {
    repeating_flags=()
    non_repeating_flags=(--no-verify --version -h --help)
    repeating_options=()
    non_repeating_options=(--config --state --record --replay)
    __resync_offer_flags_options 0

    # Offer option value completions
    case "${prev}" in
    '--config')
        __resync_add_completions -f
        return
        ;;
    '--state')
        __resync_add_completions -d
        return
        ;;
    '--record')
        __resync_add_completions -f
        return
        ;;
    '--replay')
        __resync_add_completions -f
        return
        ;;
    esac
}

_resync_status() {
    repeating_flags=()
    non_repeating_flags=(--json --prometheus --nagios --version -h --help)
    repeating_options=()
    non_repeating_options=(--config --state)
    __resync_offer_flags_options 0

    # Offer option value completions
    case "${prev}" in
    '--config')
        __resync_add_completions -f
        return
        ;;
    '--state')
        __resync_add_completions -d
        return
        ;;
    esac
}

_resync_gate() {
    repeating_flags=()
    non_repeating_flags=(--override --json --version -h --help)
    repeating_options=()
    non_repeating_options=(--reason --for --config --state)
    __resync_offer_flags_options 1

    # Offer option value completions
    case "${prev}" in
    '--reason')
        return
        ;;
    '--for')
        return
        ;;
    '--config')
        __resync_add_completions -f
        return
        ;;
    '--state')
        __resync_add_completions -d
        return
        ;;
    esac
}

_resync_nightly() {
    repeating_flags=()
    non_repeating_flags=(--version -h --help)
    repeating_options=()
    non_repeating_options=(--config --state)
    __resync_offer_flags_options -1

    # Offer option value completions
    case "${prev}" in
    '--config')
        __resync_add_completions -f
        return
        ;;
    '--state')
        __resync_add_completions -d
        return
        ;;
    esac
}

_resync_schedule() {
    repeating_flags=()
    non_repeating_flags=(--simulate --all --json --version -h --help)
    repeating_options=()
    non_repeating_options=(--read-limit --config --state)
    __resync_offer_flags_options 1

    # Offer option value completions
    case "${prev}" in
    '--read-limit')
        return
        ;;
    '--config')
        __resync_add_completions -f
        return
        ;;
    '--state')
        __resync_add_completions -d
        return
        ;;
    esac
}

_resync_bench() {
    repeating_flags=()
    non_repeating_flags=(--json --from0 --cross-mounts --version -h --help)
    repeating_options=(--exclude --exclude-from)
    non_repeating_options=(--max-duration --progress --files-from --digest --block-size --workers --read-limit --io-timeout --state)
    __resync_offer_flags_options 1

    # Offer option value completions
    case "${prev}" in
    '--max-duration')
        return
        ;;
    '--progress')
        __resync_add_completions -W 'auto'$'\n''json'$'\n''none'
        return
        ;;
    '--exclude')
        return
        ;;
    '--exclude-from')
        __resync_add_completions -f
        return
        ;;
    '--files-from')
        __resync_add_completions -f
        return
        ;;
    '--digest')
        __resync_add_completions -W 'gmac'$'\n''sha256'$'\n''sha512-256'
        return
        ;;
    '--block-size')
        return
        ;;
    '--workers')
        return
        ;;
    '--read-limit')
        return
        ;;
    '--io-timeout')
        return
        ;;
    '--state')
        __resync_add_completions -d
        return
        ;;
    esac

    # Offer positional completions
    case "${positional_number}" in
    1)
        __resync_add_completions -f
        return
        ;;
    esac
}

_resync_episode() {
    repeating_flags=()
    non_repeating_flags=(--version -h --help)
    repeating_options=()
    non_repeating_options=()
    __resync_offer_flags_options 0

    # Offer subcommand / subcommand argument completions
    local -r subcommand="${unparsed_words[0]}"
    unset 'unparsed_words[0]'
    unparsed_words=("${unparsed_words[@]}")
    case "${subcommand}" in
    list|show|open|close|import|maintenance|accept)
        # Offer subcommand argument completions
        "_resync_episode_${subcommand}"
        ;;
    *)
        # Offer subcommand completions
        COMPREPLY+=($(compgen -W 'list show open close import maintenance accept' -- "${cur}"))
        ;;
    esac
}

_resync_episode_list() {
    repeating_flags=()
    non_repeating_flags=(--json --version -h --help)
    repeating_options=()
    non_repeating_options=(--since --state)
    __resync_offer_flags_options 0

    # Offer option value completions
    case "${prev}" in
    '--since')
        return
        ;;
    '--state')
        __resync_add_completions -d
        return
        ;;
    esac
}

_resync_episode_show() {
    repeating_flags=()
    non_repeating_flags=(--json --version -h --help)
    repeating_options=()
    non_repeating_options=(--state)
    __resync_offer_flags_options 1

    # Offer option value completions
    case "${prev}" in
    '--state')
        __resync_add_completions -d
        return
        ;;
    esac
}

_resync_episode_open() {
    repeating_flags=()
    non_repeating_flags=(--version -h --help)
    repeating_options=()
    non_repeating_options=(--from --to --class --note --config --state)
    __resync_offer_flags_options 1

    # Offer option value completions
    case "${prev}" in
    '--from')
        return
        ;;
    '--to')
        return
        ;;
    '--class')
        return
        ;;
    '--note')
        return
        ;;
    '--config')
        __resync_add_completions -f
        return
        ;;
    '--state')
        __resync_add_completions -d
        return
        ;;
    esac
}

_resync_episode_close() {
    repeating_flags=()
    non_repeating_flags=(--version -h --help)
    repeating_options=()
    non_repeating_options=(--note --state)
    __resync_offer_flags_options 1

    # Offer option value completions
    case "${prev}" in
    '--note')
        return
        ;;
    '--state')
        __resync_add_completions -d
        return
        ;;
    esac
}

_resync_episode_import() {
    repeating_flags=()
    non_repeating_flags=(--dry-run --version -h --help)
    repeating_options=(--device)
    non_repeating_options=(--journal --store --good --to --boot --zone --config --state)
    __resync_offer_flags_options 0

    # Offer option value completions
    case "${prev}" in
    '--journal')
        __resync_add_completions -f
        return
        ;;
    '--store')
        return
        ;;
    '--device')
        return
        ;;
    '--good')
        return
        ;;
    '--to')
        return
        ;;
    '--boot')
        return
        ;;
    '--zone')
        return
        ;;
    '--config')
        __resync_add_completions -f
        return
        ;;
    '--state')
        __resync_add_completions -d
        return
        ;;
    esac
}

_resync_episode_maintenance() {
    repeating_flags=()
    non_repeating_flags=(--version -h --help)
    repeating_options=()
    non_repeating_options=(--for --state)
    __resync_offer_flags_options 1

    # Offer option value completions
    case "${prev}" in
    '--for')
        return
        ;;
    '--state')
        __resync_add_completions -d
        return
        ;;
    esac
}

_resync_episode_accept() {
    repeating_flags=()
    non_repeating_flags=(--version -h --help)
    repeating_options=()
    non_repeating_options=(--note --state)
    __resync_offer_flags_options 1

    # Offer option value completions
    case "${prev}" in
    '--note')
        return
        ;;
    '--state')
        __resync_add_completions -d
        return
        ;;
    esac
}

_resync_config() {
    repeating_flags=()
    non_repeating_flags=(--version -h --help)
    repeating_options=()
    non_repeating_options=()
    __resync_offer_flags_options 0

    # Offer subcommand / subcommand argument completions
    local -r subcommand="${unparsed_words[0]}"
    unset 'unparsed_words[0]'
    unparsed_words=("${unparsed_words[@]}")
    case "${subcommand}" in
    check)
        # Offer subcommand argument completions
        "_resync_config_${subcommand}"
        ;;
    *)
        # Offer subcommand completions
        COMPREPLY+=($(compgen -W 'check' -- "${cur}"))
        ;;
    esac
}

_resync_config_check() {
    repeating_flags=()
    non_repeating_flags=(--version -h --help)
    repeating_options=()
    non_repeating_options=(--config)
    __resync_offer_flags_options 0

    # Offer option value completions
    case "${prev}" in
    '--config')
        __resync_add_completions -f
        return
        ;;
    esac
}

_resync_demo() {
    repeating_flags=()
    non_repeating_flags=(--version -h --help)
    repeating_options=()
    non_repeating_options=()
    __resync_offer_flags_options 0
}

_resync_help() {
    repeating_flags=()
    non_repeating_flags=(--version)
    repeating_options=()
    non_repeating_options=()
    __resync_offer_flags_options -1
}

complete -o filenames -F _resync resync
