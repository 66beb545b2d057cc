//! Reads a file into the modules: their names, and every path that is no test's.

use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{TokenStream, TokenTree};
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Attribute, Ident, ImplItem, Item, Meta, Stmt, Token, TraitItem, UseTree};

use super::modules::{Definition, Mention, Place, Tree, is_contents, list};

/// Reads a file as a module, and the files of its children.
pub fn load(tree: &mut Tree, path: PathBuf, parent: Option<usize>) -> usize {
    let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let parsed = syn::parse_file(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let file = tree.relative(&path);
    let directory = if is_contents(&file) || file == "main.rs" {
        path.parent().map(Path::to_owned).unwrap_or_default()
    } else {
        path.with_extension("")
    };
    tree.seen.push(path);
    let module = tree.add(parent, file.clone(), directory, false);
    if is_contents(&file) {
        tree.loose.extend(loose_items(&file, &parsed.items));
    }
    Reader { tree, module }.visit_file(&parsed);
    module
}

/// What a table of contents does not have.
fn loose_items(file: &str, items: &[Item]) -> Vec<Place> {
    let mut loose = Vec::new();
    for item in items.iter().filter(|item| !is_test(attributes(item))) {
        let what = match item {
            Item::Use(_) => continue,
            Item::Mod(module) if module.content.is_none() => continue,
            Item::Mod(module) => format!("mod {} {{ .. }}", module.ident),
            Item::Struct(item) => format!("struct {}", item.ident),
            Item::Enum(item) => format!("enum {}", item.ident),
            Item::Union(item) => format!("union {}", item.ident),
            Item::Trait(item) => format!("trait {}", item.ident),
            Item::Type(item) => format!("type {}", item.ident),
            Item::Const(item) => format!("const {}", item.ident),
            Item::Static(item) => format!("static {}", item.ident),
            Item::Fn(item) => format!("fn {}", item.sig.ident),
            Item::Impl(_) => "impl".to_owned(),
            Item::Macro(item) => format!("macro {}", path_text(&path_names(&item.mac.path))),
            _ => "an item".to_owned(),
        };
        loose.push(Place {
            file: file.to_owned(),
            line: line(item),
            what,
        });
    }
    loose
}

/// Notes the names and the paths of a module.
struct Reader<'a> {
    tree: &'a mut Tree,
    module: usize,
}

impl Reader<'_> {
    fn define(&mut self, name: &Ident, definition: Definition) {
        let names = &mut self.tree.modules[self.module].names;
        names.entry(plain(name)).or_default().push(definition);
    }

    fn mention(&mut self, line: usize, path: Vec<String>, is_glob: bool) {
        self.tree.mentions.push(Mention {
            module: self.module,
            line,
            path,
            is_glob,
        });
    }

    fn visit_use(&mut self, tree: &UseTree, before: &[String]) {
        let line = line(tree);
        let path = |name: &Ident| {
            let mut path = before.to_vec();
            if name != "self" || before.is_empty() {
                path.push(plain(name));
            }
            path
        };
        match tree {
            UseTree::Path(tree_path) => self.visit_use(&tree_path.tree, &path(&tree_path.ident)),
            UseTree::Name(name) => {
                let path = path(&name.ident);
                if let Some(last) = path.last().cloned() {
                    let names = &mut self.tree.modules[self.module].names;
                    let definition = Definition::Import(path.clone());
                    names.entry(last).or_default().push(definition);
                }
                self.mention(line, path, false);
            }
            UseTree::Rename(rename) => {
                let path = path(&rename.ident);
                self.define(&rename.rename, Definition::Import(path.clone()));
                self.mention(line, path, false);
            }
            UseTree::Glob(_) => {
                self.tree.modules[self.module].globs.push(before.to_vec());
                self.mention(line, before.to_vec(), true);
            }
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.visit_use(tree, before);
                }
            }
        }
    }

    fn visit_mod(&mut self, item: &syn::ItemMod) {
        let name = plain(&item.ident);
        let parent = self.module;
        let child = if let Some((_, items)) = &item.content {
            let file = self.tree.modules[parent].file.clone();
            let directory = self.tree.modules[parent].directory.join(&name);
            let child = self.tree.add(Some(parent), file, directory, true);
            self.module = child;
            for item in items {
                self.visit_item(item);
            }
            self.module = parent;
            child
        } else {
            let path = self.tree.file_of(parent, &name);
            load(self.tree, path, Some(parent))
        };
        self.define(&item.ident, Definition::Module(child));
    }

    /// Paths among the tokens of a macro, which nobody has parsed.
    fn visit_tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let mut line = 0;
        // Colons since the last name.
        let mut colons = 0;
        let mut tokens = tokens.into_iter().peekable();
        while let Some(token) = tokens.next() {
            match &token {
                TokenTree::Ident(name) => {
                    if colons != 2 {
                        path.clear();
                        line = name.span().start().line;
                    }
                    path.push(plain(name));
                    colons = 0;
                    let goes_on =
                        matches!(tokens.peek(), Some(TokenTree::Punct(p)) if p.as_char() == ':');
                    if !goes_on && path.len() > 1 {
                        self.mention(line, std::mem::take(&mut path), false);
                    }
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' && !path.is_empty() => {
                    colons += 1;
                    let goes_on = matches!(tokens.peek(), Some(TokenTree::Ident(_)));
                    if colons == 2 && !goes_on && path.len() > 1 {
                        self.mention(line, std::mem::take(&mut path), false);
                    }
                }
                TokenTree::Group(group) => {
                    path.clear();
                    colons = 0;
                    self.visit_tokens(group.stream());
                }
                _ => {
                    path.clear();
                    colons = 0;
                }
            }
        }
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        if is_test(attributes(item)) {
            if let Item::Mod(module) = item {
                let name = plain(&module.ident);
                let folder = self.tree.modules[self.module].directory.join(&name);
                if folder.is_dir() {
                    list(&folder, &mut self.tree.seen);
                }
                let path = self.tree.file_of(self.module, &name);
                self.tree.seen.push(path);
            }
            return;
        }
        match item {
            Item::Use(item) => return self.visit_use(&item.tree, &[]),
            Item::Mod(item) => return self.visit_mod(item),
            Item::Struct(item) => self.define(&item.ident, Definition::Item),
            Item::Enum(item) => self.define(&item.ident, Definition::Item),
            Item::Union(item) => self.define(&item.ident, Definition::Item),
            Item::Trait(item) => self.define(&item.ident, Definition::Item),
            Item::Type(item) => self.define(&item.ident, Definition::Item),
            Item::Const(item) => self.define(&item.ident, Definition::Item),
            Item::Static(item) => self.define(&item.ident, Definition::Item),
            Item::Fn(item) => self.define(&item.sig.ident, Definition::Item),
            Item::Macro(syn::ItemMacro {
                ident: Some(name), ..
            }) => self.define(name, Definition::Item),
            _ => {}
        }
        visit::visit_item(self, item);
    }

    fn visit_impl_item(&mut self, item: &'ast ImplItem) {
        let attributes = match item {
            ImplItem::Const(item) => &item.attrs[..],
            ImplItem::Fn(item) => &item.attrs,
            ImplItem::Type(item) => &item.attrs,
            ImplItem::Macro(item) => &item.attrs,
            _ => &[],
        };
        if !is_test(attributes) {
            visit::visit_impl_item(self, item);
        }
    }

    fn visit_trait_item(&mut self, item: &'ast TraitItem) {
        let attributes = match item {
            TraitItem::Const(item) => &item.attrs[..],
            TraitItem::Fn(item) => &item.attrs,
            TraitItem::Type(item) => &item.attrs,
            TraitItem::Macro(item) => &item.attrs,
            _ => &[],
        };
        if !is_test(attributes) {
            visit::visit_trait_item(self, item);
        }
    }

    fn visit_stmt(&mut self, statement: &'ast Stmt) {
        let attributes = match statement {
            Stmt::Local(local) => &local.attrs[..],
            Stmt::Macro(item) => &item.attrs,
            _ => &[],
        };
        if !is_test(attributes) {
            visit::visit_stmt(self, statement);
        }
    }

    fn visit_field(&mut self, field: &'ast syn::Field) {
        if !is_test(&field.attrs) {
            visit::visit_field(self, field);
        }
    }

    fn visit_field_value(&mut self, field: &'ast syn::FieldValue) {
        if !is_test(&field.attrs) {
            visit::visit_field_value(self, field);
        }
    }

    fn visit_variant(&mut self, variant: &'ast syn::Variant) {
        if !is_test(&variant.attrs) {
            visit::visit_variant(self, variant);
        }
    }

    fn visit_arm(&mut self, arm: &'ast syn::Arm) {
        if !is_test(&arm.attrs) {
            visit::visit_arm(self, arm);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names = path_names(path);
        if names.len() > 1 {
            self.mention(line(path), names, false);
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.visit_path(&call.path);
        self.visit_tokens(call.tokens.clone());
    }

    // Neither imports anything.
    fn visit_attribute(&mut self, _: &'ast Attribute) {}
    fn visit_vis_restricted(&mut self, _: &'ast syn::VisRestricted) {}
}

/// Whether attributes leave something to tests alone.
fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        Meta::List(list) if list.path.is_ident("cfg") => list
            .parse_args::<Meta>()
            .is_ok_and(|meta| wants_test(&meta)),
        Meta::Path(path) => path.is_ident("test"),
        _ => false,
    })
}

/// Whether a condition holds in tests only.
fn wants_test(condition: &Meta) -> bool {
    match condition {
        Meta::Path(path) => path.is_ident("test"),
        Meta::List(list) => {
            let parse = Punctuated::<Meta, Token![,]>::parse_terminated;
            let Ok(parts) = list.parse_args_with(parse) else {
                return false;
            };
            if list.path.is_ident("all") {
                parts.iter().any(wants_test)
            } else {
                list.path.is_ident("any") && parts.iter().all(wants_test)
            }
        }
        Meta::NameValue(_) => false,
    }
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::ExternCrate(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::ForeignMod(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Union(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

fn path_names(path: &syn::Path) -> Vec<String> {
    path.segments
        .iter()
        .map(|part| plain(&part.ident))
        .collect()
}

fn plain(name: &Ident) -> String {
    let name = name.to_string();
    name.strip_prefix("r#").map(str::to_owned).unwrap_or(name)
}

pub fn path_text(path: &[String]) -> String {
    path.join("::")
}

fn line(at: &impl Spanned) -> usize {
    at.span().start().line
}
