import { render } from "preact";
import "../shared/tokens.css";
import "../shared/controls.css";
import "./controls.css";
import "./console.css";
import { shareChoices } from "../shared/choices.js";
import { loadSession } from "../shared/session.js";
import { App } from "./app.js";
import { takeLinks } from "./login/mail_link.js";

takeLinks();
const root = document.getElementById("app");
if (root === null) throw new Error("console.html has no #app");
render(<App />, root);
shareChoices();
void loadSession();
