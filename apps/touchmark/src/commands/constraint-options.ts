import type { Command } from 'commander';
import type { NameConstraintsTemplate } from '#pki';

const FORMS = ['dns', 'email', 'uri', 'ip'] as const;

/** As commander names them: `permitDns` to `excludeIp`. */
export type ConstraintOptions = Partial<
  Record<`${'permit' | 'exclude'}${Capitalize<(typeof FORMS)[number]>}`, string[]>
>;

const capital = (form: string): string => form[0]!.toUpperCase() + form.slice(1);

/** Lists with commas between: hosts, hosts or .domains (email, uri), CIDR blocks (ip). */
export function withConstraints(command: Command): Command {
  for (const verb of ['permit', 'exclude']) {
    for (const form of FORMS) {
      const what = verb === 'permit' ? 'may certify only these' : 'may not certify these';
      command.option(`--${verb}-${form} <list>`, `name constraint: ${what}`, splitList);
    }
  }
  return command;
}

/** undefined where none was given. */
export function constraintsOf(options: ConstraintOptions): NameConstraintsTemplate | undefined {
  const side = (verb: 'permit' | 'exclude'): object | undefined => {
    const given = FORMS.flatMap((form) => {
      const list = options[`${verb}${capital(form)}` as keyof ConstraintOptions];
      return list === undefined ? [] : [[form, list] as const];
    });
    return given.length === 0 ? undefined : Object.fromEntries(given);
  };
  const [permitted, excluded] = [side('permit'), side('exclude')];
  if (permitted === undefined && excluded === undefined) return undefined;
  return { ...(permitted && { permitted }), ...(excluded && { excluded }) };
}

export function splitList(text: string): string[] {
  return text.split(',').map((one) => one.trim());
}
