// OpenAI's own client against a server: node openai_client.mjs ADDRESS FOLDER, where FOLDER has node_modules. Prints JSON.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [address, folder] = process.argv.slice(2);
const found = createRequire(`${folder}/package.json`).resolve("openai");
const { default: OpenAI } = await import(pathToFileURL(found));
const client = new OpenAI({ baseURL: `${address}/v1`, apiKey: "none", maxRetries: 0 });
const messages = [{ role: "user", content: "Hello fox" }];
const chat = { model: "tiny", messages, max_tokens: 8, seed: 3 };
const said = {};

said.models = (await client.models.list()).data.map((model) => model.id);
const whole = await client.chat.completions.create(chat);
said.chat = whole.choices[0].message.content;
said.tokens = whole.usage.completion_tokens;
let text = "";
for await (const chunk of await client.chat.completions.create({ ...chat, stream: true, stream_options: { include_usage: true } })) {
  text += chunk.choices[0]?.delta?.content ?? "";
  said.finish = chunk.choices[0]?.finish_reason ?? said.finish;
  said.streamTokens = chunk.usage?.completion_tokens ?? said.streamTokens;
}
said.chatStream = text;
const helper = client.chat.completions.stream(chat);
said.helper = (await helper.finalChatCompletion()).choices[0].message.content;
const written = { model: "tiny", prompt: "The quick", max_tokens: 9, seed: 5 };
said.completion = (await client.completions.create(written)).choices[0].text;
text = "";
for await (const chunk of await client.completions.create({ ...written, stream: true })) text += chunk.choices[0].text;
said.completionStream = text;
said.embedding = (await client.embeddings.create({ model: "tiny", input: "fox", encoding_format: "float" })).data[0].embedding.length;
try {
  await client.chat.completions.create({ ...chat, model: "tini" });
} catch (error) {
  said.error = [error instanceof OpenAI.NotFoundError, error.message];
}
const stopping = await client.completions.create({ ...written, max_tokens: 4000, stream: true });
for await (const _ of stopping) break; // which leaves
console.log(JSON.stringify(said));
