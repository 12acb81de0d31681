"""Second Round: deterministic batch generation with diffusers.

    Ask ─► Recipe(s) ─► engine ─► events ─► Picture (PNG + recipe) ─► shelf ─► gallery
    PNG dropped in ─► Recipe ─► engine ─► comparison ─► Verdict

A *recipe* is everything that decides a picture's pixels. A *round* is the recipes asked for together,
a later one led by its *control*, the pick made again. *Lanes* are the pictures in the plain
pipeline call whose bits a recipe promises. A *fingerprint* says where pixels were made. One thread runs the
model, everybody's steps in turn and, where that changes no bit, together. The *shelf* is a folder of PNGs, and
the only record.

errors, settings, files   what may be wrong, what a start is told, where files lie and how they are written
recipe/      recipe: one picture's; rounds: which are asked for together; ask: what a form or a program asks for
picture/     picture: a PNG with its record; png: its chunks, hostile files too; parameters: other tools' text;
             xmp: what it says of itself to other programs; export: sheets, and pictures as JPEG and WebP;
             credentials: signed by whoever exports them
models/      catalog (and catalog.toml): families, samplers, known models; sources: folders, files, other names;
             devices: CPU and GPUs; runtime: loading, fingerprint; revisions: whose weights; shapes: which
             sizes of a call agree on this device; formats: the fastest of a CPU; load_errors, tokens
engine/      engine: recipes in, events out; call: one pipeline call, and whether its lanes agree on this device;
             model_thread: who computes when; shares: whose turn it is, and its bounds; packing, rows: calls that go
             together; trials: which may, tried while nobody waits; spinning: how its helpers wait; events: what a
             round tells; stops: how work ends; memory, pool: the model that is loaded, and the one that is meant;
             preview; script: the round as plain Python; zero_gpu
shelf/       shelf: the folder; index: what is known of its pictures; tree: their rounds; owners: whose they are;
             trash: what leaves it; copies, contact_sheet: files made from pictures
proof/       replay: made again and compared; comparison, verdict; pins: what made it, and what differs;
             experiment(s): those of the documentation, run on shared_model, the model that visitors use
studio       rounds of pictures, on the shelf          api   the named endpoints
__main__     the command line                          program   how a command ends
page/        page: tabs and serving; edge: what stands before every request and answers every error; events: from an
             event to a handler and back; running: a round as it is played; theme; page.css, page.js
             rounds/, suffixes/, tokens/, share/, visitor/, tree/, shelf/, verify/, proof/: a part of the page each,
             layout, handlers and html, with its own .css and .js beside it
bench/       figures, as ratios of one run             training/   how the bundled model is made

Imports go one way: errors, settings, files ◄ recipe ◄ picture, models ◄ engine, shelf ◄ proof, studio ◄ api ◄ page,
command line. tests/test_imports.py holds it. What decides imports neither torch nor gradio, and what the page is
built of imports torch inside its functions: the page is there first, and the model is loaded behind it. The tabs
behind the first, tree, shelf, verify and proof, are known to the page by their names alone: one goes with its folder
and its line.
"""
