import { InvalidArgumentError, Option, type Command } from 'commander';
import { printLines, record } from '../output.js';
import {
  apiCommand,
  body,
  connect,
  listCommand,
  pageQuery,
  printList,
  printRecord,
  segment,
  type ApiOptions,
  type ListOptions,
} from './api-command.js';

const EXAMPLE_ID = '0197b2c6-...';
const SECRET_NOTE = 'What stands under enrollment or invitation is shown only here: hand it over now.';

export function addApprovalCommands(program: Command): void {
  const approval = program.command('approval').description('What takes two people: look, approve, reject');
  listCommand(approval, 'List what was proposed', 'approval list --state proposed')
    .addOption(new Option('--state <state>', 'what became of it').choices(STATES))
    .option('--operation <name>', 'enrollment, group.revoke, device.reenroll, role.grant, ca.create, ...')
    .action(async (options: ListOptions & { state?: string; operation?: string }) => {
      const client = await connect(options);
      const query = pageQuery(options, { state: options.state, operation: options.operation });
      printList(await client.get('/v1/approvals', query), APPROVALS, options);
    });
  apiCommand(approval, 'get <id>', 'Show a proposal and its digest', `approval get ${EXAMPLE_ID}`).action(
    async (id: string, options: ApiOptions) => {
      const client = await connect(options);
      printRecord(await client.get(`/v1/approvals/${segment(id)}`), options);
    },
  );
  addApprove(approval);
  addReject(approval);
  apiCommand(
    approval,
    'withdraw <id>',
    'Withdraw what you proposed yourself',
    `approval withdraw ${EXAMPLE_ID}`,
  ).action(async (id: string, options: ApiOptions) => {
    const client = await connect(options);
    printRecord(await client.post(`/v1/approvals/${segment(id)}/withdraw`, {}), options);
  });
}

/** The digest goes along always: what is executed is what was shown, or nothing. */
function addApprove(approval: Command): void {
  apiCommand(
    approval,
    'approve <id>',
    'Approve what somebody else proposed, or a device that asks to enroll; it is executed at once',
    `approval approve ${EXAMPLE_ID} --digest 9f86d081884c...`,
  )
    .option('--digest <hex>', 'of the proposal that you looked at (default: of the one shown now)', parseDigest)
    .action(async (id: string, options: ApiOptions & { digest?: string }) => {
      const client = await connect(options);
      const path = `/v1/approvals/${segment(id)}`;
      const shown = (await client.get(path)) as { digest?: string };
      if (options.json !== true) printLines(['You approve:', ...record(shown, NOT_YET), '']);
      const done = await client.post(`${path}/approve`, body({ digest: options.digest ?? shown.digest }));
      const { enrollment, invitation } = done as { enrollment?: unknown; invitation?: unknown };
      const secret = enrollment !== undefined || invitation !== undefined;
      printRecord(
        options.json === true ? done : news(shown, done as object),
        options,
        secret ? SECRET_NOTE : undefined,
      );
    });
}

/** What stands in the answer and was not shown above already. */
function news(shown: object, done: object): object {
  const told = Object.keys(shown).filter((member) => member !== 'state' && !NOT_YET.includes(member));
  return Object.fromEntries(Object.entries(done).filter(([member]) => !told.includes(member)));
}

function addReject(approval: Command): void {
  apiCommand(
    approval,
    'reject <id>',
    'Reject a proposal, or the enrollment of a device, for good',
    `approval reject ${EXAMPLE_ID} --reason "not one of ours"`,
  )
    .option('--reason <text>', 'why; of an enrollment: the device is told')
    .action(async (id: string, options: ApiOptions & { reason?: string }) => {
      const client = await connect(options);
      printRecord(await client.post(`/v1/approvals/${segment(id)}/reject`, body({ reason: options.reason })), options);
    });
}

function parseDigest(text: string): string {
  if (!/^[0-9a-f]{64}$/.test(text)) throw new InvalidArgumentError('Give the 64 hex digits that "approval get" shows.');
  return text;
}

const STATES = ['proposed', 'executed', 'rejected', 'withdrawn', 'expired'];
const NOT_YET = ['decider', 'deciderPerson', 'decidedAt', 'singleOperator', 'result'];
const APPROVALS = [
  { title: 'id', member: 'id' },
  { title: 'operation', member: 'operation' },
  { title: 'subject', member: 'subject' },
  { title: 'state', member: 'state' },
  { title: 'proposer', member: 'proposer' },
  { title: 'expires', member: 'expiresAt' },
];
