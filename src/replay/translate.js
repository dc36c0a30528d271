
// In a replay: the texts lie in the file.
follow(translator(JSON.parse(document.getElementById("texts").textContent)));
