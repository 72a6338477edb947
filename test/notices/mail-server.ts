import type { AddressInfo } from 'node:net';
import { SMTPServer } from 'smtp-server';

export interface Mail {
  from: string;
  to: string[];
  /** Header block and body as they were sent. */
  raw: string;
  headers: string;
  text: string;
}

export interface MailServer {
  url: string;
  mails: Mail[];
  /** An SMTP code refuses each mail with it. */
  refuse: number | undefined;
  stop(): Promise<void>;
}

/** A real SMTP server on 127.0.0.1 that keeps what it is sent. */
export async function startMailServer(): Promise<MailServer> {
  const mails: Mail[] = [];
  const server = new SMTPServer({
    authOptional: true,
    disabledCommands: ['STARTTLS'],
    logger: false,
    onData: (stream, session, callback) => {
      const chunks: Buffer[] = [];
      stream.on('data', (chunk: Buffer) => chunks.push(chunk));
      stream.on('end', () => {
        if (made.refuse !== undefined) {
          callback(Object.assign(new Error('not now'), { responseCode: made.refuse }));
          return;
        }
        const raw = Buffer.concat(chunks).toString();
        const end = raw.indexOf('\r\n\r\n');
        const from = session.envelope.mailFrom;
        mails.push({
          from: from === false ? '' : from.address,
          to: session.envelope.rcptTo.map(({ address }) => address),
          raw,
          headers: raw.slice(0, end),
          text: raw.slice(end + 4),
        });
        callback();
      });
    },
  });
  server.on('error', () => undefined);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.server.address() as AddressInfo;
  const made: MailServer = {
    url: `smtp://127.0.0.1:${port}`,
    mails,
    refuse: undefined,
    stop: () => new Promise((resolve) => server.close(() => resolve())),
  };
  return made;
}
