import type { EventType } from './event-types.js';

/** One notice as it stands in a mail; `payload` is the body that a webhook would get. */
export interface MailItem {
  type: string;
  payload: Buffer;
}

export interface MailText {
  subject: string;
  text: string;
}

export const MAX_LINES = 200;
const MAX_TYPES_IN_SUBJECT = 3;

/**
 * One mail for any number of notices: `items` grouped by type, at most 200 lines, then how many more there are of each type
 * by `counts`. Nothing that others chose reaches the subject, and no control character the text.
 */
export function composeMail(
  counts: ReadonlyMap<string, number>,
  items: readonly MailItem[],
  address: string,
): MailText {
  const total = [...counts.values()].reduce((sum, count) => sum + count, 0);
  const types = [...counts.keys()].sort();
  const named = types.slice(0, MAX_TYPES_IN_SUBJECT).join(', ');
  const more = types.length > MAX_TYPES_IN_SUBJECT ? ', ...' : '';
  const lines = [`${total} ${total === 1 ? 'notice' : 'notices'} from Touchmark for ${address}`];
  for (const type of types) {
    const shown = items.filter((item) => item.type === type);
    lines.push('', `${type} (${counts.get(type) ?? 0})`, ...shown.map((item) => `  ${lineOf(item.payload)}`));
    const rest = (counts.get(type) ?? 0) - shown.length;
    if (rest > 0) lines.push(`  and ${rest} more`);
  }
  lines.push('', 'The audit log has all of them. An administrator of your organization can change or end these mails.');
  return {
    subject: `[Touchmark] ${total} ${total === 1 ? 'notice' : 'notices'}: ${named}${more}`,
    text: `${lines.join('\n')}\n`,
  };
}

interface Payload {
  type: EventType;
  timestamp: string;
  data: Record<string, unknown> & { subject: string };
}

function lineOf(payload: Buffer): string {
  const { timestamp, data } = JSON.parse(payload.toString()) as Payload;
  const { id: _, subject, ...rest } = data;
  const facts = Object.entries(rest).map(([name, value]) => `${name}=${String(value)}`);
  return [timestamp, subject, ...facts].join('  ').replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, '?');
}
