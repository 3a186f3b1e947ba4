//! The field: where the gold is, and what each other cell counts.

use std::collections::VecDeque;

use crate::{Settings, random::Random};

/// A field, known to the server alone. Cells are numbered row by row, from 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    width: u16,
    height: u16,
    /// [`Field::GOLD`], or the gold round a cell.
    cells: Vec<u8>,
}

impl Field {
    /// The value of a cell with gold; every other cell counts the gold round it, 0 to 8.
    pub const GOLD: u8 = 9;

    /// The same seed makes the same field. The settings were checked.
    pub(crate) fn new(settings: Settings, random: &mut Random) -> Self {
        let mut places: Vec<u16> = (0..settings.cells()).collect();
        let gold = usize::from(settings.gold).min(places.len());
        // The first steps of Fisher and Yates's shuffle: each set of places is as likely as any other.
        for taken in 0..gold {
            let other = taken + random.below(places.len() - taken);
            places.swap(taken, other);
        }
        let cells = vec![0; places.len()];
        let mut field = Self { width: settings.width, height: settings.height, cells };
        for &cell in &places[..gold] {
            field.cells[usize::from(cell)] = Self::GOLD;
        }
        for cell in 0..settings.cells() {
            if field.cells[usize::from(cell)] != Self::GOLD {
                let gold = field.around(cell).filter(|near| field.cells[usize::from(*near)] == Self::GOLD);
                field.cells[usize::from(cell)] = u8::try_from(gold.count()).unwrap_or(8);
            }
        }
        field
    }

    /// The value of a cell; `None` outside.
    #[must_use]
    pub fn get(&self, cell: u16) -> Option<u8> {
        self.cells.get(usize::from(cell)).copied()
    }

    /// The cells round a cell.
    pub fn around(&self, cell: u16) -> impl Iterator<Item = u16> + use<> {
        let (width, height) = (self.width, self.height);
        let (row, column) = (cell / width, cell % width);
        let rows = row.saturating_sub(1)..(row + 2).min(height);
        rows.flat_map(move |near_row| {
            let columns = column.saturating_sub(1)..(column + 2).min(width);
            columns.map(move |near_column| near_row * width + near_column)
        })
        .filter(move |near| *near != cell)
    }

    /// What a dig at `cell` opens, beginning there and going outwards: an empty cell opens its neighbourhood, and each empty
    /// cell in it does, too. Cells that `is_open` are left out. Gold is never opened but by digging there: no empty cell
    /// touches it.
    pub(crate) fn opened_by(&self, cell: u16, is_open: impl Fn(u16) -> bool) -> Vec<(u16, u8)> {
        let mut is_seen = vec![false; self.cells.len()];
        let mut waiting = VecDeque::from([cell]);
        let mut opened = Vec::new();
        is_seen[usize::from(cell)] = true;
        while let Some(cell) = waiting.pop_front() {
            let value = self.cells[usize::from(cell)];
            opened.push((cell, value));
            if value != 0 {
                continue;
            }
            for near in self.around(cell) {
                if !is_seen[usize::from(near)] && !is_open(near) {
                    is_seen[usize::from(near)] = true;
                    waiting.push_back(near);
                }
            }
        }
        opened
    }
}
