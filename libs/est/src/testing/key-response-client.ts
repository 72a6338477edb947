/** The parts of a multipart/mixed answer as a client splits it (RFC 2046 section 5.1.1), for tests. */
export function readKeyResponse(contentType: string | undefined, body: Buffer): { type: string; body: Buffer }[] {
  const boundary = /^multipart\/mixed; boundary=(\S+)$/.exec(contentType ?? '')?.[1];
  if (boundary === undefined) throw new Error(`no multipart answer: ${contentType}`);
  const whole = `\r\n${body.toString('latin1')}`.split(`\r\n--${boundary}`);
  if (whole.at(-1) !== '--\r\n' || whole[0] !== '')
    throw new Error('the answer does not begin and end with its boundary');
  return whole.slice(1, -1).map((part) => {
    const match = /^\r\nContent-Type: ([^\r]+)\r\n\r\n([^]*)$/.exec(part);
    if (match === null) throw new Error('a part has another head');
    return { type: match[1] as string, body: Buffer.from(match[2] as string, 'latin1') };
  });
}
