import { readFile } from 'node:fs/promises';
import { AuthorityError } from '#kernel';

/** A JSON object of a file, without what the server alone decides. */
export async function readDocument(file: string): Promise<object> {
  const text = await readFile(file, 'utf8').catch((cause: unknown) => {
    throw new AuthorityError('malformed', `${file} cannot be read`, { cause });
  });
  const { name: _name, version: _version, ...document } = parse(file, text);
  return document;
}

function parse(file: string, text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { ...value };
  } catch {
    // Told below, as for any other text.
  }
  throw new AuthorityError('malformed', `${file} is not a JSON object`);
}

export const commaList = (text: string): string[] =>
  text
    .split(',')
    .map((one) => one.trim())
    .filter((one) => one !== '');
