# bash completion of cricket: commands, options from `cricket help COMMAND`, names of containers, pods and images.
_cricket()
{
    local word=${COMP_WORDS[COMP_CWORD]} command=${COMP_WORDS[1]} list

    if ((COMP_CWORD == 1)); then
        list=$(cricket help 2> /dev/null | sed -n 's/^  \([a-z-]\+\) .*/\1/p')
    elif [[ $word == -* ]]; then
        list=$(cricket help "$command" 2> /dev/null | grep -o -- '--[a-z][a-z-]*')
    else
        case $command in
        logs | exec | attach | port-forward | inspect | stats | stop | rm)
            list=$(cricket ps -a 2> /dev/null | awk 'NR > 1 { print $1 }'; cricket pods 2> /dev/null | awk 'NR > 1 { print $1 }')
            ;;
        run)
            list=$(cricket images 2> /dev/null | awk 'NR > 1 { print $1 ":" $2 }')
            ;;
        image)
            list='import ls rm'
            ((COMP_CWORD > 2)) && { COMPREPLY=($(compgen -f -- "$word")); return; }
            ;;
        help) list=$(cricket help 2> /dev/null | sed -n 's/^  \([a-z-]\+\) .*/\1/p') ;;
        esac
    fi
    COMPREPLY=($(compgen -W "$list" -- "$word"))
}
complete -F _cricket cricket
