"""Second Round: deterministic batch generation with diffusers.

    form values ─► Recipe(s) ─► Engine ─► events ─► Picture (PNG + recipe) ─► Shelf ─► gallery
    PNG dropped in ─► Recipe ─► Engine ─► compare ─► Verdict

A *recipe* is everything that decides a picture's pixels. A *round* is the recipes asked for together,
a later one led by its *control*, the pick made again. *Lanes* are the pictures in one pipeline call,
always exactly that many. A *fingerprint* says where pixels were made. Visitors take *turns*, one
denoising step at a time. The *shelf* is a folder of PNGs, and the only record.

What is decided      errors, recipe, rounds, settings; specs, folders, catalog: models known and found
What runs            runtime: device, loading, fingerprint; revisions: which weights are meant
                     load_errors, words: what is said before harm
                     stops, turns, streams, calling, engine: recipes in, events out; slots: do lanes agree on this GPU
                     variation: noise between two seeds; preview: pictures while they are made
                     memory: the one model that is loaded; models: which one a recipe means
                     studio: rounds of pictures; zero_gpu
What is kept         files: how each is written; png, parameters, picture: the file; shelf: the folder and its stars
                     index: what is known of pictures; tree: their rounds; owners: whose shelf; trash: what leaves it
                     copies, contact_sheet: files made from pictures; data_folder: where files lie
What is proved       claim, compare, resemblance, verdict, verify; replaying; as_python: the plain script
                     lab, proof, proof_process, proof_reference: the experiments of the documentation
What is shown        clients: who listens; api: endpoints; visit, visits, again: what was made
                     toasts: errors; theme; guard, uploads, answers: the edge
                     view, panels, pace, view_preview, playing, handlers, exploring, presets, ui_next: the rounds
                     view_compare: pick and origin; view_words, handlers_words: token meters
                     sharing, view_share, handlers_share, ui_share: links and what is copied
                     pictures: what tabs share; tree, shelf, verify, proof: the other tabs; wiring, page
Beside these         __main__: the command line; program: how one ends; bench: figures; training: the bundled model

Imports go one way, upwards in this list; tests/test_imports.py holds the exact order. What decides
imports neither torch nor gradio.
"""
