/**
 * The only door to the official library of the Model Context Protocol, loaded by `mcp/server.ts`
 * when a server starts: it costs every other command nothing.
 *
 * @module
 */
export {
  McpServer,
  parseJSONRPCMessage,
} from "npm:@modelcontextprotocol/server@2.4.0";
export { serveStdio } from "npm:@modelcontextprotocol/server@2.4.0/stdio";
export { Ajv } from "npm:@modelcontextprotocol/server@2.4.0/validators/ajv";
