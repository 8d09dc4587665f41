// Completion scripts for bash, zsh and fish, made from the command table: commands and flags stand in the script,
// values (groups, files, users) are asked of `mt completion candidates` when needed.
import type { MtCommandClass } from '../base-command.ts';
import { BaseCommand } from '../base-command.ts';
import { COMMAND_NAMES, type CommandName, loadCommand } from '../command-table.ts';
import { summaryOf } from '../help.ts';
import { flagsOf } from './candidates.ts';

interface Entry {
  name: CommandName;
  summary: string;
  command: MtCommandClass;
}

async function entries(): Promise<Entry[]> {
  return Promise.all(
    COMMAND_NAMES.map(async (name) => {
      const command = await loadCommand(name);
      return { name, summary: summaryOf(command.description), command };
    }),
  );
}

function flagCases(all: readonly Entry[]): string {
  return all.map(({ name, command }) => `      ${name}) flags='${flagsOf(command).join(' ')}' ;;`).join('\n');
}

async function bash(): Promise<string> {
  const all = await entries();
  return `# bash completion for mt. In ~/.bashrc: eval "$(mt completion bash)"
_mt() {
  local cur=\${COMP_WORDS[COMP_CWORD]} flags='' line
  COMPREPLY=()
  if ((COMP_CWORD == 1)); then
    COMPREPLY=($(compgen -W '${[...COMMAND_NAMES, 'help'].join(' ')}' -- "$cur"))
  elif [[ $cur == -* ]]; then
    case \${COMP_WORDS[1]} in
${flagCases(all)}
    esac
    COMPREPLY=($(compgen -W "$flags" -- "$cur"))
  else
    while IFS= read -r line; do
      if [[ $line == :paths ]]; then
        compopt -o default
      else
        COMPREPLY+=("$(printf %q "$line")")
      fi
    done < <(mt completion candidates -- "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
  fi
}
complete -F _mt mt
`;
}

async function zsh(): Promise<string> {
  const all = await entries();
  const described = all.map(({ name, summary }) => `    ${single(`${name}:${summary}`)}`).join('\n');
  return `#compdef mt
# zsh completion for mt. In ~/.zshrc, after compinit: eval "$(mt completion zsh)"
_mt() {
  local -a commands found
  local flags=''
  commands=(
${described}
  )
  if ((CURRENT == 2)); then
    _describe command commands
  elif [[ $words[CURRENT] == -* ]]; then
    case $words[2] in
${flagCases(all)}
    esac
    compadd -- \${=flags}
  else
    found=("\${(@f)$(mt completion candidates -- "\${(@)words[2,CURRENT]}" 2>/dev/null)}")
    if [[ $found[1] == :paths ]]; then
      _files
    else
      compadd -- $found
    fi
  fi
}
compdef _mt mt
`;
}

async function fish(): Promise<string> {
  const lines = [
    '# fish completion for mt. Save as ~/.config/fish/completions/mt.fish',
    'function __mt_candidates',
    '  set -l typed (commandline -opc) (commandline -ct)',
    '  for line in (mt completion candidates -- $typed[2..-1] 2>/dev/null)',
    '    if test "$line" = :paths',
    '      __fish_complete_path (commandline -ct)',
    '    else',
    '      echo $line',
    '    end',
    '  end',
    'end',
    'complete -c mt -f',
    "complete -c mt -n 'not __fish_use_subcommand' -a '(__mt_candidates)'",
  ];
  for (const { name, summary, command } of await entries()) {
    lines.push(`complete -c mt -n __fish_use_subcommand -a ${name} -d ${single(summary)}`);
    const own: Record<string, { type: string; description?: string }> = command.flags;
    for (const [flag, { type, description }] of Object.entries(own)) {
      const value = type === 'option' ? ' -r' : '';
      lines.push(
        `complete -c mt -n '__fish_seen_subcommand_from ${name}' -l ${flag}${value} -d ${single(description ?? '')}`,
      );
    }
  }
  const common: Record<string, { type: string; description?: string }> = BaseCommand.baseFlags;
  for (const [flag, { type, description }] of Object.entries(common)) {
    lines.push(`complete -c mt -l ${flag}${type === 'option' ? ' -r' : ''} -d ${single(description ?? '')}`);
  }
  return `${lines.join('\n')}\n`;
}

/** In single quotes, for any of the three. */
function single(text: string): string {
  return `'${text.replaceAll("'", '’')}'`;
}

export const SCRIPTS = { bash, zsh, fish } as const;
