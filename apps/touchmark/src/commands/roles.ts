import { Argument, type Command } from 'commander';
import { ROLES } from '#policy';
import { apiCommand, connect, printRecord, segment, type ApiOptions } from './api-command.js';

export function addRoleCommands(program: Command): void {
  const role = program.command('role').description('Roles of people');
  apiCommand(
    role,
    'grant <person>',
    'Propose roles for a person; a second person approves',
    'role grant 0197b2c6-... officer approver',
  )
    .addArgument(new Argument('<roles...>', 'what the person is to be').choices(ROLES))
    .action(async (person: string, roles: string[], options: ApiOptions) => {
      const client = await connect(options);
      printRecord(await client.post(`/v1/people/${segment(person)}/roles`, { roles }), options);
    });
  apiCommand(role, 'withdraw <person>', 'Withdraw a role of a person, at once', 'role withdraw 0197b2c6-... officer')
    .addArgument(new Argument('<role>', 'what the person is no more').choices(ROLES))
    .action(async (person: string, name: string, options: ApiOptions) => {
      const client = await connect(options);
      printRecord(await client.delete(`/v1/people/${segment(person)}/roles/${segment(name)}`), options);
    });
}
