import type { OpenAPIObject } from '@nestjs/swagger';

interface SchemaLike {
  $ref?: string;
  type?: string | string[];
  format?: string;
  description?: string;
  enum?: unknown[];
  items?: SchemaLike;
  anyOf?: SchemaLike[];
  allOf?: SchemaLike[];
  properties?: Record<string, SchemaLike>;
  required?: string[];
}

const METHODS = ['get', 'post', 'patch', 'put', 'delete'] as const;

const STYLE = `body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1c1c1c;background:#fff}
h2{border-bottom:1px solid #ccc;margin-top:2.5rem}h3{margin-bottom:.2rem}code{background:#f2f2f2;padding:.1em .3em;border-radius:3px}
table{border-collapse:collapse;width:100%}td,th{text-align:left;vertical-align:top;padding:.25rem .75rem .25rem 0;border-bottom:1px solid #eee}
.method{display:inline-block;min-width:4.5rem;font-weight:700}@media(prefers-color-scheme:dark){body{background:#161616;color:#e6e6e6}
code{background:#2a2a2a}td,th{border-color:#333}a{color:#8ab4f8}}`;

/** Its hash goes into the page's Content-Security-Policy, which allows nothing else. */
export const REFERENCE_STYLE = STYLE;

/** The OpenAPI document as one page that needs no script and no other host. */
export function referencePage(document: OpenAPIObject): string {
  const operations = Object.entries(document.paths).flatMap(([path, item]) =>
    METHODS.flatMap((method) => (item[method] === undefined ? [] : [describe(method, path, item[method])])),
  );
  const schemas = Object.entries(document.components?.schemas ?? {}).map(([name, schema]) =>
    describeSchema(name, schema as SchemaLike),
  );
  return `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Touchmark API</title><style>${STYLE}</style></head><body><h1>Touchmark API</h1>
<p>${escape(document.info.description ?? '')} Machine-readable: <a href="/openapi.json">openapi.json</a>.
Send <code>Authorization: Bearer &lt;operator token&gt;</code>. Errors are <code>application/problem+json</code> (RFC 9457).</p>
<h2>Routes</h2>${operations.join('\n')}<h2>Schemas</h2>${schemas.join('\n')}</body></html>\n`;
}

type Operation = NonNullable<OpenAPIObject['paths'][string]['get']>;

function describe(method: string, path: string, operation: Operation): string {
  const parameters = (operation.parameters ?? []).flatMap((parameter) => {
    if ('$ref' in parameter) return [];
    const { name, in: place, required, description } = parameter;
    const kind = required === true ? 'required' : 'optional';
    return [row(name, `${place}, ${kind}: ${typeText(parameter.schema as SchemaLike)}`, description)];
  });
  const body = operation.requestBody as { content?: Record<string, { schema?: SchemaLike }> } | undefined;
  const bodies = Object.entries(body?.content ?? {}).map(([type, { schema }]) =>
    row('body', `${type}: ${typeText(schema)}`),
  );
  const answers = Object.entries(operation.responses).map(([status, answer]) => {
    const { content, description } = answer as {
      content?: Record<string, { schema?: SchemaLike }>;
      description?: string;
    };
    const types = Object.entries(content ?? {}).map(([type, { schema }]) => `${type}: ${typeText(schema)}`);
    return row(status, types.join('<br>'), description);
  });
  return `<h3><span class="method">${method.toUpperCase()}</span> <code>${escape(path)}</code></h3>
<p>${escape(operation.summary ?? '')}</p><table>${[...parameters, ...bodies, ...answers].join('')}</table>`;
}

function describeSchema(name: string, schema: SchemaLike): string {
  const members = Object.entries(schema.properties ?? {}).map(([member, value]) =>
    row(
      member,
      `${schema.required?.includes(member) === true ? '' : 'optional '}${typeText(value)}`,
      value.description,
    ),
  );
  const body = members.length > 0 ? `<table>${members.join('')}</table>` : `<p>${typeText(schema)}</p>`;
  return `<h3 id="${escape(name)}">${escape(name)}</h3><p>${escape(schema.description ?? '')}</p>${body}`;
}

function row(name: string, type: string, description = ''): string {
  return `<tr><th scope="row"><code>${escape(name)}</code></th><td>${type}</td><td>${escape(description)}</td></tr>`;
}

function typeText(schema: SchemaLike | undefined): string {
  if (schema === undefined) return '';
  if (schema.$ref !== undefined) return link(schema.$ref);
  const variants = schema.anyOf ?? schema.allOf;
  if (variants !== undefined) return variants.map(typeText).join(' or ');
  if (schema.enum !== undefined)
    return schema.enum.map((value) => `<code>${escape(JSON.stringify(value))}</code>`).join(' | ');
  if (schema.items !== undefined) return `array of ${typeText(schema.items)}`;
  if (schema.properties !== undefined) {
    const members = Object.entries(schema.properties).map(([name, value]) => `${escape(name)}: ${typeText(value)}`);
    return `{ ${members.join(', ')} }`;
  }
  const type = [schema.type ?? 'any'].flat().join(' or ');
  return escape(schema.format === undefined ? type : `${type} (${schema.format})`);
}

function link(ref: string): string {
  const name = ref.slice(ref.lastIndexOf('/') + 1);
  return `<a href="#${escape(name)}">${escape(name)}</a>`;
}

function escape(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
