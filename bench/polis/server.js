// One directory of Ory Polis, served by Node's own HTTP server. It listens on a free port, and says so on the first line
// that it prints, as JSON: the port, and the directory's token.

const http = require('node:http');
const jackson = require('@boxyhq/saml-jackson').default;

const keepsEvents = process.env.KEEPS_EVENTS === '1';

async function serve() {
  const engine = await jackson({
    externalUrl: 'http://127.0.0.1',
    samlPath: '/saml',
    scimPath: '/scim/v2',
    noAnalytics: true,
    db: { engine: 'sql', type: 'postgres', url: process.env.DATABASE_URL, pageLimit: 1000000, ttl: 300, cleanupLimit: 1000 },
    // What happened is kept in its own queue, from which nobody sends it; or it is told to nobody and not kept.
    dsync: keepsEvents ? { webhookBatchSize: 50 } : { callback: async () => {} },
    logger: { info() {}, warn() {}, error: console.error },
  });
  const sync = engine.directorySyncController;
  const { data: directory } = await sync.directories.create({
    tenant: 'acme',
    product: 'bench',
    name: 'Acme',
    type: 'okta-scim-v2',
    ...(keepsEvents && { webhook_url: 'http://127.0.0.1/', webhook_secret: 'secret' }),
  });

  async function answer(request, text) {
    const { pathname, searchParams } = new URL(request.url, 'http://127.0.0.1');
    const [resourceType, resourceId] = pathname.split('/').filter(Boolean);
    const number = (name) => (searchParams.has(name) ? Number(searchParams.get(name)) : undefined);
    return sync.requests.handle({
      method: request.method,
      body: text ? JSON.parse(text) : undefined,
      directoryId: directory.id,
      resourceType,
      resourceId,
      apiSecret: (request.headers.authorization || '').replace('Bearer ', ''),
      query: { count: number('count'), startIndex: number('startIndex'), filter: searchParams.get('filter') || undefined },
    });
  }

  const server = http.createServer(async (request, response) => {
    const parts = [];
    for await (const part of request) parts.push(part);
    let status = 500;
    let data = {};
    try {
      ({ status, data } = await answer(request, Buffer.concat(parts).toString()));
    } catch (error) {
      console.error(error);
    }
    const body = Buffer.from(JSON.stringify(data));
    response.writeHead(status, { 'Content-Type': 'application/scim+json', 'Content-Length': body.length });
    response.end(body);
  });
  server.listen(0, '127.0.0.1', () => console.log(JSON.stringify({ port: server.address().port, token: directory.scim.secret })));
}

serve();
