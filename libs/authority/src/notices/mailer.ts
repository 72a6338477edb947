import { createTransport } from 'nodemailer';
import type { Config } from '#kernel';
import type { MailText } from './mail-text.js';

export type MailResult = { error: undefined } | { error: 'refused' | 'connection'; status: number | undefined };

/** Hands mails to the SMTP server of the settings. */
export interface Mailer {
  /** Never throws: whatever goes wrong is a result. */
  send(to: string, mail: MailText): Promise<MailResult>;
  close(): void;
}

const CONNECT_MS = 10_000;
const SOCKET_MS = 20_000;

export function createMailer({ smtpUrl, from }: NonNullable<Config['mail']>): Mailer {
  const url = new URL(smtpUrl);
  const secure = url.protocol === 'smtps:';
  const transport = createTransport({
    host: url.hostname.replace(/^\[|\]$/g, ''),
    port: url.port === '' ? (secure ? 465 : 587) : Number(url.port),
    secure,
    // Name and password are never sent in the clear.
    requireTLS: !secure && url.username !== '',
    ...(url.username === ''
      ? {}
      : { auth: { user: decodeURIComponent(url.username), pass: decodeURIComponent(url.password) } }),
    connectionTimeout: CONNECT_MS,
    greetingTimeout: CONNECT_MS,
    socketTimeout: SOCKET_MS,
    disableFileAccess: true,
    disableUrlAccess: true,
    logger: false,
  });
  return {
    send: async (to, { subject, text }) => {
      try {
        await transport.sendMail({
          from: { name: 'Touchmark', address: from },
          to: { name: '', address: to },
          envelope: { from, to },
          subject,
          text,
          headers: { 'Auto-Submitted': 'auto-generated' },
        });
        return { error: undefined };
      } catch (error) {
        const status = (error as { responseCode?: unknown }).responseCode;
        return typeof status === 'number' ? { error: 'refused', status } : { error: 'connection', status: undefined };
      }
    },
    close: () => transport.close(),
  };
}
