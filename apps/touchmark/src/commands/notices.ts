import { InvalidArgumentError, Option, type Command } from 'commander';
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

const SECRET_NOTE = 'Give the secret to the receiver now: it is shown only here.';

interface Events {
  events: string[];
}

/** Who is told of what, and what became of it. */
export function addNoticeCommands(program: Command): void {
  const webhook = program.command('webhook').description('Notices by HTTP, signed (Standard Webhooks)');
  addWebhookLife(webhook);
  addDeliveries(webhook);
  addMail(program.command('mail').description('Notices by mail'));
}

function addWebhookLife(webhook: Command): void {
  withEvents(
    apiCommand(
      webhook,
      'create <url>',
      'Have notices sent to a URL',
      "webhook create https://ops.example/touchmark --events 'certificate.*,key.leaked'",
    ),
  )
    .option('--description <text>', 'what it is for')
    .action(async (url: string, options: ApiOptions & Events & { description?: string }) => {
      const { events, description } = options;
      const client = await connect(options);
      printRecord(await client.post('/v1/webhooks', body({ url, events, description })), options, SECRET_NOTE);
    });
  listCommand(webhook, 'List webhooks, without their secrets', 'webhook list').action(async (options: ListOptions) => {
    const client = await connect(options);
    printList(await client.get('/v1/webhooks', pageQuery(options)), WEBHOOKS, options);
  });
  apiCommand(webhook, 'test <id>', 'Send a test notice', 'webhook test 0197b2c8-...').action(
    async (id: string, options: ApiOptions) => {
      const client = await connect(options);
      printRecord(await client.post(`/v1/webhooks/${segment(id)}/test`, {}), options);
    },
  );
  apiCommand(
    webhook,
    'rotate <id>',
    'Give it a new secret; the one before signs too for 24 hours',
    'webhook rotate 0197b2c8-...',
  ).action(async (id: string, options: ApiOptions) => {
    const client = await connect(options);
    printRecord(await client.post(`/v1/webhooks/${segment(id)}/rotate`, {}), options, SECRET_NOTE);
  });
  apiCommand(webhook, 'remove <id>', 'Remove a webhook for good', 'webhook remove 0197b2c8-...').action(
    async (id: string, options: ApiOptions) => {
      const client = await connect(options);
      printRecord(await client.delete(`/v1/webhooks/${segment(id)}`), options);
    },
  );
}

function addDeliveries(webhook: Command): void {
  apiCommand(webhook, 'deliveries <id>', 'List what was sent to it, newest first', 'webhook deliveries 0197b2c8-...')
    .option('--limit <n>', 'how many at most')
    .option('--cursor <cursor>', 'go on where the last page ended')
    .action(async (id: string, options: ListOptions) => {
      const client = await connect(options);
      const page = await client.get(`/v1/webhooks/${segment(id)}/deliveries`, pageQuery(options));
      printList(options.json === true ? page : withLastTry(page), DELIVERIES, options);
    });
  apiCommand(
    webhook,
    'replay <id> <delivery-id>',
    'Send a notice once more, under the id it had',
    'webhook replay 0197b2c8-... 0197b2c9-...',
  ).action(async (id: string, deliveryId: string, options: ApiOptions) => {
    const client = await connect(options);
    const path = `/v1/webhooks/${segment(id)}/deliveries/${segment(deliveryId)}/replay`;
    printRecord(await client.post(path, {}), options);
  });
}

interface DeliveryPage {
  items: { attempts?: { status?: number; error?: string }[] }[];
}

/** How the last try ended, so that what does not arrive explains itself. */
function withLastTry(page: unknown): object {
  const { items, ...rest } = page as DeliveryPage;
  const told = items.map(({ attempts = [], ...item }) => {
    const last = attempts.at(-1);
    return { ...item, tries: attempts.length, lastTry: last?.status ?? last?.error };
  });
  return { ...rest, items: told };
}

function addMail(mail: Command): void {
  withEvents(
    apiCommand(
      mail,
      'create <address>',
      'Have notices sent to an address',
      "mail create ops@vendor.example --events 'certificate.*'",
    ),
  )
    .addOption(
      new Option('--digest <mode>', 'how many mails that makes')
        .choices(['immediate', 'hourly', 'daily'])
        .default('daily'),
    )
    .action(async (address: string, options: ApiOptions & Events & { digest: string }) => {
      const { events, digest } = options;
      const client = await connect(options);
      printRecord(await client.post('/v1/mail-subscriptions', { address, events, digest }), options);
    });
  listCommand(mail, 'List who gets mail', 'mail list').action(async (options: ListOptions) => {
    const client = await connect(options);
    printList(await client.get('/v1/mail-subscriptions', pageQuery(options)), SUBSCRIPTIONS, options);
  });
  apiCommand(mail, 'remove <id>', 'Send no more mail', 'mail remove 0197b2ca-...').action(
    async (id: string, options: ApiOptions) => {
      const client = await connect(options);
      printRecord(await client.delete(`/v1/mail-subscriptions/${segment(id)}`), options);
    },
  );
}

function withEvents(command: Command): Command {
  return command.requiredOption(
    '--events <list>',
    'event types (GET /v1/event-types), a noun with ".*" or "*", separated by commas',
    parseEvents,
  );
}

function parseEvents(text: string): string[] {
  const events = text.split(',').map((item) => item.trim());
  if (events.includes('')) throw new InvalidArgumentError("Give event types: 'certificate.*,key.leaked'.");
  return events;
}

const WEBHOOKS = [
  { title: 'id', member: 'id' },
  { title: 'state', member: 'state' },
  { title: 'events', member: 'events' },
  { title: 'url', member: 'url' },
];

const DELIVERIES = [
  { title: 'id', member: 'id' },
  { title: 'state', member: 'state' },
  { title: 'type', member: 'type' },
  { title: 'subject', member: 'subject' },
  { title: 'made', member: 'createdAt' },
  { title: 'tries', member: 'tries' },
  { title: 'last try', member: 'lastTry' },
];

const SUBSCRIPTIONS = [
  { title: 'id', member: 'id' },
  { title: 'digest', member: 'digest' },
  { title: 'events', member: 'events' },
  { title: 'address', member: 'address' },
];
